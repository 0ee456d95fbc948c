"""The run that a `context.invoke` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from workflows_app.errors import InvalidInput, NotSerializable
from workflows_app.protocol.delays import delay_expression
from workflows_app.protocol.ids import check_run_id
from workflows_app.protocol.runs import FlowControlSpec, RunRequest
from workflows_app.sdk.payloads import encode_payload

if TYPE_CHECKING:
    from workflows_app.sdk.authoring import Workflow


def run_to_invoke(  # noqa: PLR0913 - one keyword per option of a run
    own_id: str,
    name: str,
    workflow: Workflow | str,
    *,
    body: Any,
    headers: Mapping[str, str] | None,
    workflow_run_id: str | None,
    labels: str | Iterable[str],
    retries: int | None,
    retry_delay: timedelta | str | None,
    flow_control: FlowControlSpec | None,
    complete: Callable[[RunRequest], RunRequest],
) -> RunRequest:
    """For the step of this name, in the run of this id. Raises InvalidInput, UnknownWorkflow."""
    if workflow_run_id == own_id:
        raise InvalidInput(f'step "{name}" would have run {own_id} wait for its own end')
    target = workflow if isinstance(workflow, str) else workflow.name
    is_url = "/" in target  # which no name has
    content, content_type = _encode(name, body)
    return complete(
        RunRequest(
            url=target if is_url else "",
            workflow="" if is_url else target,
            body=content,
            content_type=content_type,
            headers=dict(headers or {}),
            run_id=None if workflow_run_id is None else check_run_id(workflow_run_id),
            labels=(labels,) if isinstance(labels, str) else tuple(labels),
            retries=retries,
            retry_delay=delay_expression(retry_delay),
            flow_control=flow_control,
        )
    )


def _encode(name: str, body: Any) -> tuple[bytes, str]:
    try:
        return encode_payload(body)
    except NotSerializable as error:
        raise NotSerializable(f'the body of step "{name}" cannot be stored: {error}') from None
