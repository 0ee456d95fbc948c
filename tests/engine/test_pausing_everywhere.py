"""Pauses by either road to a function, in either kind of step, and in the middle of a rollback."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, only_run, result_of
from tests.roads import Road, road
from tests.shells import Define
from workflows_app import Context, Undo, Workflow, workflow
from workflows_app.engine import leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.engine.pausing import pause, resume
from workflows_app.engine.states import State, state_of
from workflows_app.models import Message

__all__ = ["road"]


def pause_it() -> str:
    assert pause(only_run()) is State.PAUSING
    return "finished"


@pytest.mark.django_db(transaction=True)
def test_a_step_in_flight_is_the_last_by_either_road(
    road: Road, registry: dict[str, Workflow]
) -> None:
    @workflow("story")
    def story(context: Context) -> str:
        context.run("at work", pause_it)
        return context.run("next", lambda: "done")

    story.trigger()
    drain_here()

    assert state_of(only_run()) is State.PAUSED
    assert journal_of(only_run()) == {"at work": "finished"}
    resume(only_run())
    drain_here()
    assert result_of(only_run()) == "done"


@pytest.mark.django_db
def test_an_atomic_step_in_flight_is_the_last(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.atomic("at work", pause_it)
        return await context.atomic("next", lambda: "done")

    story.trigger()
    drain_here()

    assert state_of(only_run()) is State.PAUSED
    assert journal_of(only_run()) == {"at work": "finished"}
    resume(only_run())
    drain_here()
    assert result_of(only_run()) == "done"


@pytest.mark.django_db
def test_a_rollback_is_paused_and_goes_on_where_it_was(define: Define) -> None:
    undone: list[str] = []

    def undo(undo: Undo) -> None:
        undone.append(undo.step)
        if undo.step == "second":
            pause_it()

    @define(retries=0)
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=undo)
        await undoable.run("first", int)
        await undoable.run("second", int)
        raise ValueError("broken")

    story.trigger()
    drain_here()

    assert state_of(only_run()) is State.PAUSED
    assert undone == ["second"]
    assert resume(only_run()) is State.ROLLING_BACK
    drain_here()
    assert undone == ["second", "first"]
    assert error_of(only_run()) == ("ValueError", "broken")


@pytest.mark.django_db
def test_a_worker_that_died_before_the_pause_is_not_forgotten(define: Define, clock: Clock) -> None:
    """A step that it may have been at work on is undone, as where nobody has paused the run."""
    undone: list[tuple[str, bool]] = []

    @define()
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=lambda undo: undone.append((undo.step, undo.finished)))
        await undoable.run("at work", int)

    story.trigger()
    leases.claim(1)
    pause(only_run())
    clock.advance("1m")
    drain_here()
    assert Message.objects.get().due_at is None

    run_moves.cancel(only_run(), roll_back=True)
    drain_here()
    assert state_of(only_run()) is State.CANCELED
    assert undone == [("at work", False)]
