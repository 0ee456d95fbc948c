"""`context.map`: a branch for each item, so many at a time."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Rehearsal, assert_failed, finished
from tests.shells import Shell
from workflows_app import Context, StepError, workflow
from workflows_app.protocol.runs import Canceled, Finished, Suspended
from workflows_app.sdk.replay import Extent

PATIENCE = 10
"""Seconds after which a step that waits for another gives up."""


def test_results_have_the_order_of_the_items(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.map(lambda each: context.run("square", pow, each, 2), range(5))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([0, 1, 4, 9, 16])
    assert rehearsal.turn() == finished([0, 1, 4, 9, 16])
    assert rehearsal.recorded == {f"square@{each + 1}": each**2 for each in range(5)}


def test_without_a_limit_all_items_are_worked_on_at_once(rehearse: Rehearse) -> None:
    all_there = threading.Barrier(5, timeout=PATIENCE)

    async def story(context: Any) -> Any:
        return sorted(await context.map(lambda _: context.run("meet", all_there.wait), [None] * 5))

    assert rehearse(story).play() == finished([0, 1, 2, 3, 4])


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_items_than_that_are_worked_on_at_once(most: int, rehearse: Rehearse) -> None:
    lock, at_work, seen = threading.Lock(), [0], []

    def work() -> None:
        with lock:
            at_work[0] += 1
            seen.append(at_work[0])
        time.sleep(0.005)
        with lock:
            at_work[0] -= 1

    async def story(context: Any) -> Any:
        async def twice(_: int) -> None:
            await context.run("work", work)
            await context.run("work", work)

        await context.map(twice, range(8), concurrency=most)

    rehearse(story).play()

    assert max(seen) == most
    assert len(seen) == 16


def test_an_item_that_waits_is_one_of_them(rehearse: Rehearse, clock: Clock) -> None:
    begun: list[int] = []

    async def story(context: Any) -> Any:
        async def one(number: int) -> int:
            await context.run("begin", begun.append, number)
            await context.sleep("nap", timedelta(hours=number))
            return number

        return await context.map(one, [5, 1, 2, 1], concurrency=2)

    rehearsal = rehearse(story)

    for hours, begun_by_then in [(1, [5, 1]), (3, [5, 1, 2]), (4, [5, 1, 2, 1])]:
        assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + timedelta(hours=hours))
        assert sorted(begun) == sorted(begun_by_then)
        clock.stop_at(CREATED_AT + timedelta(hours=hours))
    assert rehearsal.play() == finished([5, 1, 2, 1])
    assert clock.now == CREATED_AT + timedelta(hours=5)


def test_calls_are_asked_for_as_items_are_open(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def ask(number: int) -> Any:
            return (await context.call("ask", url=f"https://{number}.example")).body

        return await context.map(ask, range(4), concurrency=2)

    rehearsal = rehearse(story)

    first = rehearsal.turn()
    assert isinstance(first, Suspended)
    assert [call.key for call in first.calls] == ["ask@1", "ask@2"]
    rehearsal.answer(first.calls[1], {"status": 200, "header": {}, "body": "two"})
    second = rehearsal.turn()
    assert isinstance(second, Suspended)
    assert [call.key for call in second.calls] == ["ask@1", "ask@3"]


def test_one_delivery_over_http_executes_no_more_steps_than_items_are_open(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        async def one(count: int) -> None:
            for _ in range(count):
                await context.run("work", int)

        await context.map(one, [1, 3, 1, 1, 1], concurrency=2)

    rehearsal = rehearse(story)
    executed = []
    while True:
        before = len(rehearsal.recorded)
        outcome = rehearsal.turn(Extent.ONE_BATCH)
        executed.append(len(rehearsal.recorded) - before)
        if isinstance(outcome, Finished):
            break
        assert outcome == Suspended(wake_at=CREATED_AT)

    assert executed == [2, 2, 2, 1]


def test_an_item_that_fails_raises_its_error_for_all(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def work(number: int) -> int:
            if number == 2:
                raise ConnectionError("no route")
            return number

        try:
            await context.map(lambda each: context.run("work", work, each), [1, 2, 3])
        except StepError as error:
            return f"{error.key}: {error.error_message}"

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("work@2: no route")
    assert rehearsal.turn() == finished("work@2: no route")


def test_after_a_failure_no_other_item_begins(rehearse: Rehearse) -> None:
    called: list[int] = []

    async def story(context: Any) -> Any:
        def work(number: int) -> int:
            called.append(number)
            if number == 2:
                raise ConnectionError("no route")
            return number

        try:
            await context.map(lambda each: context.run("work", work, each), range(9), concurrency=1)
        except StepError:
            await context.sleep("later", "1h")
            return "given up"

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("given up")
    assert rehearsal.turn() == finished("given up")
    assert called == [0, 1, 2]


def test_of_several_failures_the_first_one_stays_the_one_that_is_raised(
    rehearse: Rehearse,
) -> None:
    """Although the other comes first in the order of the items."""

    async def story(context: Any) -> Any:
        def fail() -> None:
            raise OSError

        async def one(hours: int) -> None:
            await context.sleep("nap", timedelta(hours=hours))
            await context.run(f"after-{hours}", fail)

        try:
            await context.map(one, [2, 1])
        except StepError as error:
            await context.sleep("later", "1d")
            return error.step

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("after-1")
    assert rehearsal.turn() == finished("after-1")


def test_items_may_come_from_any_iterable_and_there_may_be_none(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        some = await context.map(
            lambda each: context.run("double", lambda: 2 * each), (each for each in (1, 2))
        )
        return [some, await context.map(lambda each: context.run("none", int), [], concurrency=3)]

    assert rehearse(story).play() == finished([[2, 4], []])


def test_an_item_may_end_without_a_step(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def one(number: int) -> int:
            return number

        return await context.map(one, range(5), concurrency=2)

    assert rehearse(story).play() == finished([0, 1, 2, 3, 4])


def test_an_item_may_cancel_the_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def one(number: int) -> None:
            await context.run("work", int)
            if number == 2:
                await context.cancel()

        await context.map(one, range(5), concurrency=1)

    rehearsal = rehearse(story)

    assert rehearsal.play() == Canceled()
    assert len(rehearsal.recorded) == 3


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "2"])
def test_a_limit_that_is_none_is_refused(concurrency: Any, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.map(lambda each: context.run("work", int), [1], concurrency=concurrency)

    assert_failed(
        rehearse(story).turn(),
        "StepMisuse",
        "the concurrency of context.map is how many items are worked on at once, at least 1, or "
        f"None for all of them; not {concurrency!r}",
    )


def test_a_map_inside_a_race_is_given_up_with_its_branch(rehearse: Rehearse) -> None:
    begun: list[int] = []

    async def story(context: Any) -> Any:
        async def one(number: int) -> None:
            await context.run("begin", begun.append, number)
            await context.sleep("nap", "1h")

        async def nap() -> str:
            await context.sleep("patience", "90m")
            return "too long"

        first = await context.race(lambda: context.map(one, range(4), concurrency=1), nap)
        await context.sleep("later", "1d")
        return first

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("too long")
    assert rehearsal.turn() == finished("too long")
    assert begun == [0, 1]


def test_each_item_may_be_a_race(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def nap(hours: int) -> int:
            await context.sleep("nap", timedelta(hours=hours))
            return hours

        def one(hours: int) -> Any:
            return context.race(partial(nap, hours), partial(nap, 3))

        return await context.map(one, [1, 5, 2], concurrency=2)

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([1, 3, 2])
    assert rehearsal.clock.now == CREATED_AT + timedelta(hours=3)


def calls_of_a_replay(rehearsal: Rehearsal) -> int:
    """How many functions it calls, those written in C included."""
    calls = itertools.count()

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_call"):
            next(calls)

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        rehearsal.turn()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return next(calls)


@pytest.mark.parametrize("concurrency", [None, 10])
def test_the_cost_of_a_replay_grows_no_faster_than_the_items(
    concurrency: int | None, rehearse: Rehearse
) -> None:
    """What grew with their square would make 64 times as many calls."""

    def played(items: int) -> Rehearsal:
        async def story(context: Any) -> Any:
            async def one(number: int) -> int:
                return int(await context.run("work", lambda: number))

            return sum(await context.map(one, range(items), concurrency=concurrency))

        rehearsal = rehearse(story)
        rehearsal.threads = False
        assert rehearsal.play() == finished(sum(range(items)))
        return rehearsal

    few, many = calls_of_a_replay(played(100)), calls_of_a_replay(played(800))

    assert few > 1000
    assert many < 10 * few


def test_a_map_shares_a_few_threads(registry: Any, rehearse_workflow: Rehearse) -> None:
    threads = set()

    @workflow("story")
    def story(context: Context) -> Any:
        look = lambda _: context.run("look", lambda: threads.add(threading.get_ident()))  # noqa: E731 - shortest so
        return len(context.map(look, range(100), concurrency=4))

    rehearsal = rehearse_workflow(story)

    assert rehearsal.play() == finished(100)
    assert len(threads) <= 4
    assert rehearsal.thread_ends == 4


def test_shells_agree_on_the_keys(rehearse: Rehearse, shell: Shell) -> None:
    async def story(context: Any) -> Any:
        async def one(number: int) -> Any:
            return await context.parallel(lambda: context.run("a", int))

        await context.map(one, range(2), concurrency=1)
        await context.race(lambda: context.run("a", int))

    rehearsal = rehearse(story)
    rehearsal.play()

    assert sorted(rehearsal.recorded) == ["a@1.1", "a@2.1", "a@3", "race"]
