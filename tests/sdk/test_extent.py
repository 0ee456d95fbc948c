"""How far one turn goes: to the next wait, one step of each branch, or no further than recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Rehearsal, finished
from workflows_app.protocol.runs import Finished, Suspended
from workflows_app.sdk.replay import Extent


def batches(rehearsal: Rehearsal) -> list[set[str]]:
    """The keys that each turn of one batch records, until the run ends."""
    found = []
    while True:
        before = set(rehearsal.recorded)
        outcome = rehearsal.turn(Extent.ONE_BATCH)
        found.append(set(rehearsal.recorded) - before)
        if isinstance(outcome, Finished):
            return found
        assert isinstance(outcome, Suspended)
        if outcome.wake_at is not None:
            rehearsal.clock.stop_at(max(rehearsal.clock.now, outcome.wake_at))


def test_a_batch_is_one_step(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        first = await context.run("a", lambda: 1)
        second = await context.atomic("b", lambda: first + 1)
        return await context.run("c", lambda: second + 1)

    rehearsal = rehearse(story)

    assert batches(rehearsal) == [{"a"}, {"b"}, {"c"}]
    assert rehearsal.turn(Extent.ONE_BATCH) == finished(3)


def test_a_turn_that_has_more_to_do_asks_to_go_on_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("a", int)
        await context.run("b", int)

    assert rehearse(story).turn(Extent.ONE_BATCH) == Suspended(wake_at=CREATED_AT)


def test_a_batch_is_the_next_step_of_each_branch(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def branch(count: int) -> Any:
            for _ in range(count):
                await context.run("work", int)

        await context.run("before", int)
        await context.parallel(lambda: branch(1), lambda: branch(3), lambda: branch(2))
        await context.run("after", int)

    assert batches(rehearse(story)) == [
        {"before"},
        {"work@1", "work@2", "work@3"},
        {"work@2#2", "work@3#2"},
        {"work@2#3"},
        {"after"},
    ]


def test_a_step_after_branches_is_a_batch_of_its_own(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def inner() -> Any:
            await context.parallel(
                lambda: context.run("deep", int), lambda: context.run("deep", int)
            )
            await context.run("joined", int)

        await context.parallel(inner, lambda: context.run("beside", int))

    assert batches(rehearse(story)) == [
        {"deep@1.1", "deep@1.2", "beside@2"},
        {"joined@1"},
    ]


def test_a_sleep_before_a_step_is_part_of_its_batch(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("no time", "0s")
        await context.run("a", int)
        await context.sleep("nap", "1h")
        await context.run("b", int)

    assert batches(rehearse(story)) == [{"no time", "a", "nap"}, {"b"}]


def test_a_step_that_failed_for_now_is_a_batch(rehearse: Rehearse) -> None:
    called = []

    async def story(context: Any) -> Any:
        def flaky() -> int:
            called.append(context.attempt)
            if context.attempt == 1:
                raise OSError
            return 7

        return await context.run("a", flaky)

    rehearsal = rehearse(story, retries=1, retry_delay="1000")

    assert rehearsal.turn(Extent.ONE_BATCH) == Suspended(wake_at=CREATED_AT + timedelta(seconds=1))
    assert rehearsal.play(Extent.ONE_BATCH) == finished(7)
    assert called == [1, 2]


def test_calls_are_asked_for_whatever_the_batch(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def ask() -> Any:
            return (await context.call("ask", url="https://peer.example")).status

        return await context.parallel(lambda: context.run("a", int), ask)

    rehearsal = rehearse(story)
    outcome = rehearsal.turn(Extent.ONE_BATCH)

    assert isinstance(outcome, Suspended)
    assert [call.key for call in outcome.calls] == ["ask@2"]
    assert rehearsal.recorded == {"a@1": 0}


def test_no_step_is_executed_where_only_what_is_recorded_counts(
    rehearse: Rehearse, clock: Clock
) -> None:
    called = []

    async def story(context: Any) -> Any:
        called.append(await context.run("a", lambda: "a"))
        await context.sleep("nap", "1h")
        called.append(await context.run("b", lambda: "b"))

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("1h")

    assert rehearsal.turn(Extent.RECORDED) == Suspended(wake_at=clock.now)
    assert called == ["a", "a"]
    assert list(rehearsal.recorded) == ["a", "nap"]
