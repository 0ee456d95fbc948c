"""Moves of runs that people and programs ask for."""

from __future__ import annotations

from django.db.models import QuerySet

from workflows_app.engine import clock
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.database import joining
from workflows_app.engine.locks import lock
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.settling import end
from workflows_app.errors import RunEnded, RunNotFound
from workflows_app.models import Account, Message, Run, Step

BATCH = 500


def find_run(account: Account, run_id: str) -> Run:
    """The live run of this id, else the newest that had it. Raises RunNotFound."""
    run = Run.objects.of(account).filter(run_id=run_id).newest_first().first()
    if run is None:
        raise RunNotFound(f'there is no run "{run_id}" in this account')
    return run


def cancel(run: Run) -> None:
    """End the run. A step at work may still finish; its result is dropped. Raises RunEnded."""
    if not run.is_live or not _cancel(run):
        raise RunEnded(f"run {run.run_id} has ended already and cannot be cancelled")


def cancel_all(runs: QuerySet[Run], limit: int | None = None) -> int:
    """Cancel those of the runs that are live, newest first; how many were."""
    live = runs.filter(status=Run.Status.RUNNING).order_by("-id").only("run_id")[:limit]
    return sum(_cancel(run) for run in list(live))


def _cancel(run: Run) -> bool:
    """It, or what has gone on in its place since it was read."""
    with joining():
        lock(run.pk)
        if end(run.pk, Run.Status.CANCELED, clock.now()):
            return True
        new = continuation_of(run)
    return new is not None and _cancel(new)


def finish(run: Run, result: str | None) -> bool:
    """End a remote run as its endpoint says, with its response. False when it had ended already."""
    with joining():
        lock(run.pk)
        return end(run.pk, Run.Status.SUCCEEDED, clock.now(), result=result)


def wake(run: Run) -> None:
    """Let the run go on now: its sleeps end, its retries are due. Raises RunEnded."""
    now = clock.now()
    with joining():
        lock(run.pk)
        Message.objects.wake_run(run.pk, now)
        if not Run.objects.live().filter(pk=run.pk).exists():
            raise RunEnded(f"run {run.run_id} has ended and cannot be woken")
        Step.objects.filter(run=run, kind=Step.Kind.SLEEP, ended_at__gt=now).update(ended_at=now)
        run.attempts.filter(retry_at__gt=now).update(retry_at=now)
        owed = Message.objects.filter(run=run, token=None, due_at__gt=now)
        # A deadline is no pause: its event may still come.
        owed.exclude(kind=Message.Kind.TIMEOUT).update(due_at=now)
        get_dispatcher().ring()
