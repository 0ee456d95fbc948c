"""Working on a run in the caller's own process, as durably as in a worker's."""

from __future__ import annotations

from django.db import transaction

from workflows_app.conf import get_settings
from workflows_app.engine import delivery, leases
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.database import connection
from workflows_app.engine.keeping import keeper
from workflows_app.engine.triggering import trigger_leased
from workflows_app.errors import InsideTransaction, Refused, RunFailed
from workflows_app.models import Account, Run
from workflows_app.protocol.codec import decode_value
from workflows_app.protocol.runs import InlineRun, RunRequest


def run_inline(account: Account, request: RunRequest) -> InlineRun:
    """Start the run with its first lease already taken, and go on until it ends or waits.

    Raises RunFailed, InsideTransaction, InvalidInput. A run that was there before is only looked
    at.
    """
    _refuse_transaction()
    if request.flow_control or request.delay or request.not_before:
        raise Refused(
            "an inline run begins at once, in the caller's process: it has neither a delay nor "
            "flow control; use trigger, and have workers run it"
        )
    started, message = trigger_leased(account, request)
    if message is not None:
        lease = leases.take(message)
        with keeper().keeping(lease):
            delivery.deliver(lease)
    run = Run.objects.only("run_id", "status", "result", "error").get(pk=started.run.pk)
    # What begins anew returns nothing, and is another's to go on with.
    while not run.is_live and run.result is None and (new := continuation_of(run)):
        run = new
    if run.status == Run.Status.FAILED and run.error_info is not None:
        raise RunFailed(f"run {run.run_id} failed: {run.error_info['message']}", run.run_id)
    result = None if run.result is None else decode_value(run.result)
    return InlineRun(workflow_run_id=run.run_id, status=run.status, result=result)


def _refuse_transaction() -> None:
    """`durable` knows the transactions that Django's own test cases open, and lets them pass."""
    if not connection().in_atomic_block:
        return
    try:
        with transaction.atomic(using=get_settings().DATABASE, durable=True):
            pass
    except RuntimeError:
        raise InsideTransaction from None
