"""Runs that are restarted, or rolled back, while something else happens to them: with real threads,
on a real database, with real commits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import transaction

from tests.conftest import Clock
from tests.engine.test_races import PATIENCE, at_once, claim_one, in_thread
from workflows_app import Context, Undo, notify, workflow
from workflows_app.engine import clock as engine_clock
from workflows_app.engine import leases, run_moves
from workflows_app.engine.database import fetch_sql
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import drain_here
from workflows_app.engine.restarting import restart
from workflows_app.engine.states import State
from workflows_app.engine.turn_writes import end_run
from workflows_app.errors import LeaseLost, Refused, RollbackAsked, RunEnded
from workflows_app.models import Message, Run, Step

pytestmark = pytest.mark.django_db(transaction=True)

at_work = threading.Event()
may_go_on = threading.Event()
undone: list[str] = []


@workflow("restart-races-steps")
def steps(context: Context) -> None:
    for _ in range(3):
        context.options(rollback=lambda undo: undone.append(undo.key)).run("step", int)


@workflow("restart-races-waits")
def waits(context: Context) -> None:
    context.options(rollback=lambda undo: undone.append(undo.key)).run("charge", int)
    context.wait_for_event("approval", "approved")


@workflow("restart-races-held")
def held(context: Context) -> None:
    """Its second step ends when the test says so."""

    def hold() -> None:
        at_work.set()
        assert may_go_on.wait(20)

    def undo(undo: Undo) -> None:
        undone.append(undo.key)

    undoable = context.options(rollback=undo)
    undoable.run("first", int)
    undoable.run("second", hold)
    undoable.run("third", undone.append, "never")


@pytest.fixture(autouse=True)
def nothing_has_happened() -> None:
    at_work.clear()
    may_go_on.clear()
    undone.clear()


def refused(function: Callable[[], object]) -> str:
    """What came of it, by its name if it was refused."""
    try:
        function()
    except (LeaseLost, Refused, RollbackAsked, RunEnded) as error:
        return type(error).__name__
    return "done"


def test_two_restarts_make_one_successor() -> None:
    for _ in range(15):
        started = steps.trigger()
        run = Run.objects.get(run_id=started.workflow_run_id)

        outcomes = at_once(*[partial(refused, partial(restart, run))] * 2)

        assert sorted(outcomes) == ["Refused", "done"]
        assert run.successors.count() == 1
    assert Run.objects.live().count() == 15


def test_of_a_restart_and_the_end_of_a_run_each_leaves_one_that_begins_again() -> None:
    """Either the run has ended when it is restarted, or it is cancelled by that."""
    ends: Counter[str] = Counter()
    for _ in range(20):
        steps.trigger()
        lease = claim_one()
        end = partial(end_run, lease, Run.Status.SUCCEEDED, "1", engine_clock.now())

        begin_again = partial(refused, partial(restart, lease.run))

        ended, restarted = at_once(partial(refused, end), begin_again)

        old = Run.objects.get(pk=lease.run_id)
        assert (restarted, old.status) == (
            "done",
            "succeeded" if ended == "done" else "canceled",
        )
        assert Message.objects.get().run == old.successors.get()
        ends[old.status] += 1
        run_moves.cancel_all(Run.objects.all())
    assert sum(ends.values()) == 20


def test_a_run_whose_rollback_was_promised_is_rolled_back_though_it_was_about_to_end() -> None:
    for _ in range(20):
        steps.trigger()
        lease = claim_one()
        ask = partial(run_moves.cancel, lease.run, roll_back=True)

        outcome, _ = at_once(partial(refused, ask), partial(deliver, lease))
        drain_here()

        run = Run.objects.get(pk=lease.run_id)
        assert run.status == ("canceled" if outcome == "done" else "succeeded")
        done = Step.objects.filter(run=run, name="step").count()
        assert len(undone) == (done if outcome == "done" else 0)
        undone.clear()


def test_a_step_in_flight_is_waited_for_and_undone_first() -> None:
    held.trigger()
    lease = claim_one()
    turn = threading.Thread(target=in_thread, args=[partial(deliver, lease)])
    turn.start()
    assert at_work.wait(20)

    state = run_moves.cancel(lease.run, roll_back=True)
    assert (state, undone) == (State.ROLLING_BACK, [])
    may_go_on.set()
    turn.join(20)

    assert undone == ["second", "first"]
    assert Run.objects.get().status == Run.Status.CANCELED


def test_a_step_in_flight_writes_nothing_once_its_run_has_been_restarted() -> None:
    held.trigger()
    lease = claim_one()
    turn = threading.Thread(target=in_thread, args=[partial(deliver, lease)])
    turn.start()
    assert at_work.wait(20)

    new = restart(lease.run)
    may_go_on.set()
    turn.join(20)

    assert list(Step.objects.values_list("run_id", "key")) == [(lease.run_id, "first")]
    assert Message.objects.get().run == new
    drain_here()
    assert "never" in undone


@pytest.mark.postgres
def test_a_claim_that_has_begun_does_not_miss_that_the_run_is_to_be_rolled_back(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees its message as it is when it locks that, but its run as it was when it began."""
    waits.trigger()
    drain_here()
    notify("approved")
    (run,) = Run.objects.all()
    held_up = f"(SELECT pg_advisory_xact_lock_shared(1)) IS NOT NULL AND {leases._UNLIMITED}"
    monkeypatch.setattr(leases, "_UNLIMITED", held_up)
    is_held_up = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        fetch_sql("SELECT pg_advisory_lock(1)", [])
        claim = pool.submit(in_thread, partial(leases.claim, 1))
        while not fetch_sql(is_held_up, []):
            time.sleep(0.01)
        assert run_moves.cancel(run, roll_back=True) is State.ROLLING_BACK
        transaction.on_commit(partial(fetch_sql, "SELECT pg_advisory_unlock(1)", []))
    for lease in claim.result(PATIENCE):
        deliver(lease)
    drain_here()

    assert [*Run.objects.values_list("status", flat=True)] == ["canceled"]
    assert undone == ["charge"]
