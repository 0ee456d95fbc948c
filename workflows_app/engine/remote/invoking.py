"""Remote runs that invoke other runs, see `engine.invoking` (Upstash reference 4.8)."""

from __future__ import annotations

from workflows_app.engine.database import joining, settling
from workflows_app.engine.invoking import Child, check_depth, outcome_of, start_children
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.remote.journal import accepted_as, append, lock_live, owe_delivery
from workflows_app.engine.triggering import check
from workflows_app.engine.waiting import end_wait
from workflows_app.errors import InvalidInput, LimitExceeded
from workflows_app.models import Account, Invocation, Message, Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.ids import start_message_id
from workflows_app.protocol.published import invoked, step_of
from workflows_app.protocol.publishing import Accepted, InvokeRequest


def invoke(account: Account, request: InvokeRequest, depth: int) -> Accepted:
    """Start a run for whose end the step waits, once for each step: a repeated delivery asks for
    another run. A live run of the same id is waited for as it is.

    Raises RunEnded, and LimitExceeded for what the endpoint must not try again.
    """
    said = step_of(decode_json(request.step))
    if said is None or not said.step_id:
        raise LimitExceeded('an invocation needs a "step" with stepId, stepName and stepType')
    check_depth(depth)
    try:
        check(request.run)
    except InvalidInput as error:
        raise LimitExceeded(error.message) from None
    with joining():
        parent = lock_live(account, request.parent_run_id)
        known = Invocation.objects.filter(parent=parent, key=said.key).first()
        if known is not None:
            return Accepted(message_id=start_message_id(known.child_id), deduplicated=True)
        if (done := accepted_as(parent, said.key)) is not None:
            return done
        child = Child(key=said.key, step=request.step, run=request.run)
        (started,) = start_children(parent, [child])
    return Accepted(message_id=start_message_id(started.run.pk), deduplicated=started.deduplicated)


def settle_report(lease: Lease) -> None:
    """Tell a run how one that it invoked has ended. Raises LeaseLost."""
    with settling():
        parent = Run.objects.lock(lease.run_id)
        hold(lease)
        Message.objects.filter(pk=lease.message_id).delete()
        if parent is None or not parent.is_live:
            return
        invocation = Invocation.objects.select_related("child").get(parent=parent, key=lease.key)
        said = step_of(decode_json(invocation.step))
        assert said is not None, "as it was when the invocation was accepted"  # noqa: S101
        if accepted_as(parent, said.key) is not None:
            return
        end_wait(parent, said.key)
        raw = invoked(invocation.step, outcome_of(invocation))
        step = append(parent, key=said.key, name=said.name, kind=said.kind, raw=raw)
        owe_delivery(parent, step)
