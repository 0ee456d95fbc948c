"""Steps that invoked other runs, as logs show them: what was invoked may have asked for redaction
itself.
"""

from __future__ import annotations

from workflows_app.models import Invocation, Run
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.published import invocation_out
from workflows_app.protocol.redaction import redactor_of
from workflows_app.rest.upstash.bodies import StepDetailsBody
from workflows_app.rest.upstash.redacting import redacted
from workflows_app.rest.upstash.vocabulary import header_map, readable


def invocation_details(invocation: Invocation) -> StepDetailsBody:
    child = invocation.child
    details: StepDetailsBody = {
        "invokedWorkflowRunId": child.run_id,
        "invokedWorkflowUrl": child.url,
        "invokedWorkflowCreatedAt": unix_milliseconds(child.created_at),
        "invokedWorkflowRunBody": readable(bytes(child.payload)),
        "invokedWorkflowRunHeaders": header_map(child.header_map),
    }
    return redacted(details, redactor_of(child.redaction))


def ended_out(invocation: Invocation) -> str:
    """The result of a step whose run has ended, also where its invoker had ended before (Upstash
    reference 4.10 (6)).
    """
    child = invocation.child
    hidden = redactor_of(child.redaction)
    return invocation_out(
        None if child.result is None else hidden.body(child.result),
        failed=child.status == Run.Status.FAILED,
        canceled=child.status == Run.Status.CANCELED,
    )
