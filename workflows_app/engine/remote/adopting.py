"""Runs that an SDK takes over from the server that started them (Upstash reference 3.6)."""

from __future__ import annotations

from django.db.models import F

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.triggering import check, due_at, first_message, new_runs
from workflows_app.models import Account, Message, Run, RunLabel, Step
from workflows_app.protocol.runs import RunRequest

_TAKEN_OVER = (
    "payload",
    "content_type",
    "headers",
    "labels",
    "retries",
    "retry_delay",
    "timeout",
    "failure_url",
    "failure_options",
    "endpoint_check",
    "redaction",
    "flow_control",
)


def adopt(account: Account, request: RunRequest) -> Run | None:
    """Have a live run go by this request from now on, and start it with it. Its id, its age, and a
    failure URL that the request leaves open stay.

    None when there is no such run to adopt: none is live, or it has gone on already.
    """
    check(request)
    with joining():
        run = Run.objects.of(account).filter(live_id=request.run_id or "").locked().first()
        if run is None or not run.is_remote or Step.objects.filter(run=run).exists():
            return None
        now = clock.now()
        (wanted,) = new_runs(account, [request], now)
        if not wanted.failure_url:
            wanted.failure_url, wanted.failure_options = run.failure_url, run.failure_options
        for name in _TAKEN_OVER:
            setattr(run, name, getattr(wanted, name))
        run.save(update_fields=_TAKEN_OVER)
        run.label_rows.all().delete()
        RunLabel.objects.bulk_create(RunLabel(run=run, name=label) for label in run.label_list)
        _start_anew(run, request)
    return run


def _start_anew(run: Run, request: RunRequest) -> None:
    """Mostly while the delivery is under way whose endpoint asks for it."""
    now = clock.now()
    first = Message.objects.filter(run=run, kind=Message.Kind.DELIVERY, key="")
    if not first.update(wakes=F("wakes") + 1, flow_control=run.flow_control):
        first_message(run, due_at(request, now), now).save(force_insert=True)
    get_dispatcher().ring()
