"""Rolling a run back because someone asks for it from outside, by both shells alike."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, loaded
from tests.sdk.test_rollback import EXTENTS, Shop, rollbacks
from tests.shells import Define, Story
from workflows_app import AsyncContext, Undo, Workflow, workflow
from workflows_app.errors import RollbackAsked, Stopping, WorkflowsError
from workflows_app.protocol.runs import Canceled, Failed, StepKind, Suspended
from workflows_app.sdk.replay import Extent


@pytest.fixture
def shop() -> Shop:
    return Shop()


def order(shop: Shop) -> Story:
    """Reserves, sleeps for a day, and pays."""

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await undoable.run("reserve", shop.do, "reserve")
        await context.sleep("think", "1d")
        await undoable.run("pay", shop.do, "pay")

    return story


def rolled_back(rehearsal: Rehearsal, extent: Extent = Extent.TO_THE_NEXT_WAIT) -> Any:
    """How the run ends when this is asked for while it waits."""
    rehearsal.roll_back = True
    return rehearsal.play(extent)


# -- while the run waits


@EXTENTS
def test_a_run_that_waits_is_undone_and_ends_as_cancelled(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    rehearsal = rehearse(order(shop))
    while "think" not in rehearsal.recorded:
        rehearsal.turn(extent)

    assert rolled_back(rehearsal, extent) == Canceled()
    assert shop.did == ["reserve", "undo reserve"]
    assert rollbacks(rehearsal) == [("@undo", "rollback"), ("reserve@undo", "undo reserve")]


@EXTENTS
def test_what_was_not_begun_is_not_begun(rehearse: Rehearse, shop: Shop, extent: Extent) -> None:
    """Though the run waits for nothing any more."""

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await context.sleep("think", "1d")
        await undoable.run("reserve", shop.do, "reserve")
        await context.sleep("nap", "1d")
        await context.call("ask", url="https://peer.example")

    rehearsal = rehearse(story)
    rehearsal.turn(extent)
    rehearsal.clock.advance("1d")

    assert rolled_back(rehearsal, extent) == Canceled()
    assert shop.did == []
    assert list(rehearsal.recorded) == ["think"]


@EXTENTS
def test_a_run_without_rollback_functions_records_none(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        await context.run("pack", shop.do, "pack")
        await context.sleep("think", "1d")

    rehearsal = rehearse(story)
    rehearsal.turn(extent)

    assert rolled_back(rehearsal, extent) == Canceled()
    assert "@undo" not in rehearsal.recorded


@EXTENTS
def test_steps_of_all_branches_are_undone_also_one_that_waits_for_its_next_attempt(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo, retries=5, retry_delay="1d")

        async def waiting() -> Any:
            await undoable.run("book", shop.do, "book")
            await context.wait_for_event("approval", "approved")

        async def retried() -> Any:
            await undoable.run("pay", shop.fail, "pay")

        await context.parallel(waiting, retried)

    rehearsal = rehearse(story)
    while not (rehearsal.journal.attempts and rehearsal.journal.steps):
        rehearsal.turn(extent)

    assert rolled_back(rehearsal, extent) == Canceled()
    assert sorted((undo.key, undo.finished) for undo in shop.undos) == [
        ("book@1", True),
        ("pay@2", False),
    ]


@EXTENTS
def test_what_the_branches_of_a_race_have_done_is_undone(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        async def branch() -> Any:
            await context.options(rollback=shop.undo).run("book", shop.do, "book")
            await context.wait_for_event("approval", "approved")

        await context.race(branch, branch)

    rehearsal = rehearse(story)
    while len(rehearsal.journal.steps) < 2:
        rehearsal.turn(extent)

    assert rolled_back(rehearsal, extent) == Canceled()
    assert sorted(undo.key for undo in shop.undos) == ["book@1", "book@2"]
    assert StepKind.RACE not in {step.kind for step in rehearsal.journal.steps}


@pytest.mark.parametrize("ending", ["return", "raise", "cancel", "continue_as_new"])
def test_a_function_that_comes_to_its_end_is_undone_all_the_same(
    rehearse: Rehearse, shop: Shop, ending: str
) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        if ending == "raise":
            raise ValueError
        if ending != "return":
            await getattr(context, ending)()

    rehearsal = rehearse(story, retries=1)
    rehearsal.turn()

    assert rolled_back(rehearsal) == Canceled()
    assert shop.did == ["reserve", "undo reserve"]


@EXTENTS
@pytest.mark.parametrize("is_cut_short", [False, True])
def test_only_after_a_crash_a_step_that_left_no_trace_may_have_been_started(
    rehearse: Rehearse, shop: Shop, extent: Extent, *, is_cut_short: bool
) -> None:
    rehearsal = rehearse(order(shop))
    rehearsal.is_cut_short = is_cut_short

    assert rolled_back(rehearsal, extent) == Canceled()
    assert shop.undos == (
        [Undo(step="reserve", key="reserve", finished=False, result=None, error=None)]
        if is_cut_short
        else []
    )


@EXTENTS
def test_code_that_no_longer_fits_undoes_nothing(
    rehearse: Rehearse, define: Define, shop: Shop, extent: Extent
) -> None:
    rehearsal = rehearse(order(shop))
    rehearsal.turn(extent)

    async def other(context: Any) -> Any:
        await context.run("pack", shop.do, "pack")

    rehearsal.rewrite(define()(other))
    outcome = rolled_back(rehearsal, extent)

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "IncompatibleHistory"
    assert shop.did == ["reserve"]


@EXTENTS
def test_a_run_fails_when_not_all_can_be_undone(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    def refuse(undo: Undo) -> None:
        raise ConnectionError("no route")

    async def story(context: Any) -> Any:
        await context.options(rollback=refuse).run("reserve", shop.do, "reserve")
        await context.sleep("think", "1d")

    rehearsal = rehearse(story)
    rehearsal.turn(extent)
    outcome = rolled_back(rehearsal, extent)

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "RollbackFailed"
    assert loaded(outcome.error)["message"] == (
        'the run was to be rolled back; not undone: step "reserve": ConnectionError: no route'
    )


# -- while a step is in flight


def test_the_step_in_flight_ends_and_is_undone_with_those_before(
    rehearse: Rehearse, shop: Shop
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await undoable.run("reserve", shop.do, "reserve")
        await undoable.atomic("pay", shop.do, "pay")
        await undoable.run("ship", shop.do, "ship")

    rehearsal = rehearse(story)
    rehearsal.journal.signal_at = 2

    assert rehearsal.turn() == Canceled()
    assert shop.did == ["reserve", "pay", "undo pay", "undo reserve"]


def test_an_attempt_in_flight_that_fails_counts_as_started(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo, retries=5)
        await undoable.run("pay", shop.fail, "pay")

    rehearsal = rehearse(story)
    rehearsal.journal.signal_at = 1

    assert rehearsal.turn() == Canceled()
    assert [(undo.key, undo.finished) for undo in shop.undos] == [("pay", False)]
    assert len(rehearsal.journal.attempts) == 1


def test_all_branches_end_after_their_steps_in_flight(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)

        async def branch() -> Any:
            for _ in range(3):
                await undoable.run("book", shop.do, "book")

        await context.parallel(branch, branch)

    rehearsal = rehearse(story)
    rehearsal.journal.signal_at = 1

    assert rehearsal.turn() == Canceled()
    assert 1 <= shop.did.count("book") == len(shop.undos) <= 4


def test_a_rollback_that_has_begun_goes_on_whoever_asks_for_it(
    rehearse: Rehearse, shop: Shop
) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=flaky, retries=1, retry_delay="1h").run("reserve", int)
        raise WorkflowsStop

    class WorkflowsStop(Exception):
        pass

    def flaky(undo: Undo) -> None:
        shop.undo(undo)
        if len(shop.undos) == 1:
            raise ConnectionError("no route")

    rehearsal = rehearse(story)
    assert isinstance(rehearsal.turn(), Suspended)
    outcome = rolled_back(rehearsal)

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "WorkflowsStop"
    assert [undo.key for undo in shop.undos] == ["reserve", "reserve"]


@pytest.mark.parametrize("signal", [RollbackAsked, Stopping])
def test_steps_that_tasks_are_at_work_on_end_first(
    rehearse_workflow: Rehearse,
    registry: dict[str, Workflow],
    shop: Shop,
    signal: type[WorkflowsError],
) -> None:
    """Whatever the turn ends for: so nothing is done that nobody knows of."""

    @workflow("story")
    async def story(context: AsyncContext) -> None:
        async def book(name: str, rounds: int) -> str:
            for _ in range(rounds):
                await asyncio.sleep(0.001)
            return shop.do(name)

        async def branch(name: str, rounds: int) -> None:
            await context.run(name, book, name, rounds)
            await context.run("never", shop.do, "never")

        await asyncio.gather(*(branch(f"book {rounds}", rounds) for rounds in range(3)))

    rehearsal = rehearse_workflow(story)
    rehearsal.journal.signal_at, rehearsal.journal.signal = 1, signal
    with suppress(Stopping):
        rehearsal.turn()

    assert shop.did == ["book 0", "book 1", "book 2"]
    assert list(rehearsal.recorded) == ["book 0@1", "book 1@2", "book 2@3"]
