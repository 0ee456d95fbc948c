"""Runs that start other runs and wait for their end, wherever either is worked on.

Whoever ends a run owes each run that invoked it a report, in the same transaction. The report is a
message, as taking it needs the lock of the other run, which may wait for this one at the moment.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.database import settling
from workflows_app.engine.history import as_row
from workflows_app.engine.leases import Lease
from workflows_app.engine.locks import lock
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.resuming import waits_to_keep
from workflows_app.engine.step_inputs import input_of_invocation
from workflows_app.engine.triggering import Started, start
from workflows_app.engine.turn_writes import owe_reports
from workflows_app.errors import LeaseLost, LimitExceeded
from workflows_app.models import Invocation, Message, Run, Step
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.ids import invoked_run_id
from workflows_app.protocol.invocations import at_depth, depth_of
from workflows_app.protocol.published import invocation_out
from workflows_app.protocol.runs import InvocationRequest, RunRequest, StepKind, StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A run to be started, and the step that waits for its end: its key, and its JSON."""

    key: str
    step: str
    run: RunRequest


def check_depth(depth: int) -> None:
    """Raises LimitExceeded."""
    most = get_settings().MAX_INVOKE_DEPTH
    if depth > most:
        raise LimitExceeded(f"runs invoke one another at most {most} levels deep")


def start_children(parent: Run, children: Sequence[Child]) -> list[Started]:
    """Start runs for whose ends a locked run waits from now on. A live run of the same id is waited
    for as it is. One that does not say what is to be hidden of it hides what the parent does.
    """
    now = clock.now()
    requests = [
        replace(
            child.run,
            source=Run.Source.RUN,
            redaction=child.run.redaction or parent.redaction,
        )
        for child in children
    ]
    started = start(parent.account, requests, now)
    Invocation.objects.bulk_create(
        Invocation(parent=parent, child=each.run, key=child.key, step=child.step, created_at=now)
        for child, each in zip(children, started, strict=True)
    )
    for each in started:
        if each.deduplicated:
            await_end(each.run)
    return started


def await_end(child: Run) -> None:
    """Whoever ends the run sees from now on that it is waited for; unless it has ended just now."""
    lock(child.pk)
    if Run.objects.live().filter(pk=child.pk).exists():
        return
    if (new := continuation_of(child)) is not None:
        Invocation.objects.filter(child=child).update(child=new)
        await_end(new)
    elif owe_reports(child.pk, clock.now()):
        get_dispatcher().ring()


def outcome_of(invocation: Invocation) -> str:
    """The result of the step whose run has ended."""
    child = invocation.child
    return invocation_out(
        child.result,
        failed=child.status == Run.Status.FAILED,
        canceled=child.status == Run.Status.CANCELED,
    )


# -- runs that are worked on here


def invoke(parent: Run, requests: Sequence[InvocationRequest]) -> None:
    """Start what a turn of the locked run asked for, each once. Raises LimitExceeded."""
    asked = {request.key: request for request in requests}
    invoked = Invocation.objects.filter(parent=parent, key__in=asked)
    ended = Step.objects.filter(run=parent, key__in=asked)
    known = {*invoked.values_list("key", flat=True), *ended.values_list("key", flat=True)}
    new = [request for key, request in asked.items() if key not in known]
    if not new:
        return
    depth = depth_of(parent.header_map) + 1
    check_depth(depth)
    start_children(parent, [_child(parent, request, depth) for request in new])


def _child(parent: Run, request: InvocationRequest, depth: int) -> Child:
    run_id = invoked_run_id(parent.run_id, unix_milliseconds(parent.created_at), request.key)
    return Child(
        key=request.key,
        step=encode_json({"stepName": request.name, "branch": request.branch}),
        run=replace(
            request.run,
            run_id=request.run.run_id or run_id,
            headers=at_depth(request.run.headers, depth),
        ),
    )


def take_over(old: Run, new: Run, steps: Sequence[Step], kept: Collection[str]) -> None:
    """Have a run that resumes another wait for what that one still waited for; of the steps of the
    old one it begins with those that are `kept`.
    """
    invocations = list(
        Invocation.objects.filter(parent=old).select_related("child").order_by("child_id")
    )
    ended = {step.key for step in steps}
    branches = {
        each.key: str(decode_json(each.step)["branch"])
        for each in invocations
        if each.key not in ended
    }
    waits = waits_to_keep(branches, steps, old.error_info or {})
    taken = [each for each in invocations if each.key in waits or each.key in kept]
    for each in taken:
        each.pk, each.parent = None, new
    Invocation.objects.bulk_create(taken)
    for each in taken:
        if each.key in waits:
            await_end(each.child)


def settle_report(lease: Lease) -> None:
    """Record how a run that this one invoked has ended, and have it go on. Raises LeaseLost."""
    now = clock.now()
    with settling():
        # This locks the turn, before the report.
        is_live = Message.objects.wake_run(lease.run_id, now)
        if not Message.objects.held(lease.message_id, lease.token).delete()[0]:
            raise LeaseLost
        if not is_live:
            return
        invocations = Invocation.objects.select_related("child").defer("child__payload")
        invocation = invocations.get(parent=lease.run_id, key=lease.key)
        step = as_row(lease.run_id, _ended(invocation))
        Step.objects.bulk_create([step], ignore_conflicts=True)
        get_dispatcher().ring()


def _ended(invocation: Invocation) -> StepRecord:
    child, said = invocation.child, decode_json(invocation.step)
    return StepRecord(
        key=invocation.key,
        name=said["stepName"],
        kind=StepKind.INVOKE,
        branch=said["branch"],
        input=input_of_invocation(child),
        result=outcome_of(invocation),
        error=None,
        attempts=1,
        started_at=invocation.created_at,
        ended_at=max(clock.now(), invocation.created_at),
    )
