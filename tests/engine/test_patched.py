"""`context.patched` on the server: what it is at work on counts, over both transports."""

from __future__ import annotations

from typing import Any

import pytest

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import journal_of, letter_of, only_run, result_of
from tests.engine.world import World, answer
from tests.roads import Road, road
from tests.shells import Define
from workflows_app.engine import dead_letters
from workflows_app.engine.drain import drain_here
from workflows_app.models import Message, Run, Step

__all__ = ["road"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def standing_clock(clock: Clock) -> Clock:
    return clock


def test_a_run_that_comes_to_the_place_is_marked_by_one_row(road: Road, define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        answers = [await context.patched("new") for _ in range(3)]
        await context.run("work", lambda: None)
        return [*answers, await context.patched("new")]

    story.trigger()
    drain_here()

    assert result_of(only_run()) == [True, True, True, True]
    assert journal_of(only_run()) == {"patched:new": True, "work": None}
    mark = Step.objects.get(kind=Step.Kind.PATCHED)
    assert (mark.name, mark.branch, mark.attempts) == ("new", "", 1)


def waiting(define: Define, asks: str) -> Any:
    """A branch waits for the server, while the other one sleeps."""

    @define()
    async def story(context: Any) -> Any:
        async def waits() -> Any:
            is_new = asks == "asks" and await context.patched("new")
            event = await context.wait_for_event("new" if is_new else "old", "arrived")
            return event.event_data

        return await context.parallel(waits, lambda: context.sleep("nap", "1h"))

    return story


def test_what_waits_for_an_event_has_passed_the_place(
    road: Road, define: Define, clock: Clock
) -> None:
    waiting(define, "does not ask").trigger()
    drain_here()

    waiting(define, "asks")
    clock.advance("1h")
    drain_here()
    workflows_app.notify("arrived", "by ship")
    drain_here()

    assert result_of(only_run()) == ["by ship", None]
    assert list(journal_of(only_run())) == ["nap@2", "old@1"]


def test_a_run_that_is_invoked_tells_that_the_place_was_passed(
    road: Road, define: Define, clock: Clock
) -> None:
    @define("child")
    async def child(context: Any) -> Any:
        await context.sleep("nap", "2h")

    def invoking(asks: str) -> Any:
        @define()
        async def story(context: Any) -> Any:
            async def invokes() -> Any:
                is_new = asks == "asks" and await context.patched("new")
                name = "new" if is_new else "old"
                return (await context.invoke(name, workflow="child")).is_failed

            return await context.parallel(invokes, lambda: context.sleep("nap", "1h"))

        return story

    invoking("does not ask").trigger()
    drain_here()
    invoking("asks")
    clock.advance("1h")
    drain_here()
    clock.advance("1h")
    drain_here()

    assert result_of(Run.objects.get(workflow="story")) == [False, None]


def test_a_call_under_way_tells_that_the_place_was_passed(
    world: World, define: Define, clock: Clock
) -> None:
    def calling(asks: str) -> Any:
        @define()
        async def story(context: Any) -> Any:
            is_new = asks == "asks" and await context.patched("new")
            name = "new" if is_new else "old"
            return (await context.call(name, url=f"https://{name}.example", retries=1)).body

        return story

    world.answers(503, answer(200, b'"done"'))
    calling("does not ask").trigger()
    drain_here()
    calling("asks")
    Message.objects.wake_run(only_run().pk, clock.now)
    drain_here()
    clock.advance("1h")
    drain_here()

    assert result_of(only_run()) == "done"
    assert list(journal_of(only_run())) == ["old"]


def test_a_run_that_is_resumed_keeps_its_marks(define: Define) -> None:
    """Also that of a branch beside the one that failed."""
    broken = ["yes"]

    @define(retries=0)
    async def story(context: Any) -> Any:
        async def fails() -> Any:
            await context.run("fail", lambda: 1 / (not broken))

        async def asks() -> Any:
            return await context.patched("new")

        return (await context.parallel(fails, asks))[1]

    story.trigger()
    drain_here()
    broken.clear()
    resumed = dead_letters.resume(letter_of(only_run()))
    drain_here()

    assert result_of(resumed) is True
    assert journal_of(resumed)["patched:new"] is True
