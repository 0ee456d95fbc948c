"""Moves of runs that people and programs ask for."""

from __future__ import annotations

from django.db.models import QuerySet

from workflows_app.engine import clock, undoing
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.database import joining
from workflows_app.engine.locks import lock
from workflows_app.engine.pausing import lift
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.remote.journal import lock_live
from workflows_app.engine.settling import end
from workflows_app.engine.states import State
from workflows_app.errors import Refused, RunEnded, RunNotFound
from workflows_app.models import Account, Message, Run, Step

BATCH = 500


def find_run(account: Account, run_id: str, workflow: str | None = None) -> Run:
    """The live run of this id, else the newest that had it; of one workflow, if it is named. Raises
    RunNotFound.
    """
    runs = Run.objects.of(account).filter(run_id=run_id)
    if workflow is not None:
        runs = runs.filter(workflow=workflow)
    run = runs.newest_first().first()
    if run is None:
        of_it = "" if workflow is None else f' of workflow "{workflow}"'
        raise RunNotFound(f'there is no run "{run_id}"{of_it} in this account')
    return run


def cancel(run: Run, *, roll_back: bool = False) -> State:
    """End the run. A step at work may still finish; its result is dropped. Raises RunEnded.

    With `roll_back` it ends once its steps have been undone; one that is at work is waited for, and
    a pause is over.
    A run that has done nothing yet, or whose function lives elsewhere, ends at once all the same.
    """
    state = _cancel(run, roll_back=roll_back) if run.is_live else None
    if state is None:
        raise RunEnded(f"run {run.run_id} has ended already and cannot be cancelled")
    return state


def cancel_all(runs: QuerySet[Run], limit: int | None = None) -> int:
    """Cancel those of the runs that are live, newest first; how many were."""
    live = runs.filter(status=Run.Status.RUNNING).order_by("-id").only("run_id")[:limit]
    return sum(_cancel(run) is not None for run in list(live))


def _cancel(run: Run, *, roll_back: bool = False) -> State | None:
    """It, or what has gone on in its place since it was read. None when that had ended already."""
    with joining():
        lock(run.pk)
        if roll_back and undoing.ask_for(run.pk, clock.now()):
            lift(run.pk)
            get_dispatcher().ring()
            return State.ROLLING_BACK
        if end(run.pk, Run.Status.CANCELED, clock.now()):
            return State.CANCELED
        new = continuation_of(run)
    return None if new is None else _cancel(new, roll_back=roll_back)


def finish(account: Account, run_id: str, result: str | None) -> bool:
    """End a remote run as its endpoint says, with its response. False when none of this id lives.
    Raises Refused for one that this server works on.
    """
    with joining():
        try:
            run = lock_live(account, run_id)
        except RunEnded:
            return False
        return end(run.pk, Run.Status.SUCCEEDED, clock.now(), result=result)


def wake(run: Run) -> None:
    """Let the run go on now: its sleeps end, its retries are due. Raises RunEnded, and Refused for
    one that is paused.
    """
    now = clock.now()
    with joining():
        lock(run.pk)
        Message.objects.wake_run(run.pk, now)
        live = Run.objects.live().filter(pk=run.pk).first()
        if live is None:
            raise RunEnded(f"run {run.run_id} has ended and cannot be woken")
        if live.is_paused:
            raise Refused(f"run {run.run_id} is paused and cannot be woken; resume it")
        Step.objects.filter(run=run, kind=Step.Kind.SLEEP, ended_at__gt=now).update(ended_at=now)
        run.attempts.filter(retry_at__gt=now).update(retry_at=now)
        owed = Message.objects.filter(run=run, token=None, due_at__gt=now)
        # A deadline is no pause: its event may still come.
        owed.exclude(kind=Message.Kind.TIMEOUT).update(due_at=now)
        get_dispatcher().ring()
