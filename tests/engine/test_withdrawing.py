"""What branches that have lost a race were waiting for."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import attempts_of, loaded, only_run, owed_to, result_of
from tests.engine.world import World, answer
from tests.shells import Define
from workflows_app import StepError, Workflow
from workflows_app.engine import dead_letters, delivery, leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.management.rehearsal import rehearse
from workflows_app.models import DeadLetter, Event, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.faults import is_cancellation

pytestmark = pytest.mark.django_db


def canceled() -> list[tuple[str, str, str]]:
    """Key, kind and branch of each step that has been cancelled."""
    steps = Step.objects.order_by("key")
    return [
        (step.key, step.kind, step.branch)
        for step in steps
        if is_cancellation(step.error) and step.result is None
    ]


def after_a_nap(context: Any) -> Any:
    async def branch() -> str:
        await context.sleep("nap", "1h")
        return "nap"

    return branch


def against_a_nap(define: Define, story: Any, **options: Any) -> Workflow:
    """A branch that waits, beside one that sleeps for an hour; then the run sleeps for a day."""

    @define(**options)
    async def race(context: Any) -> Any:
        first = await context.race(partial(story, context), after_a_nap(context))
        await context.sleep("later", "1d")
        return first

    return race


def test_a_wait_that_has_lost_is_withdrawn(define: Define, clock: Clock) -> None:
    against_a_nap(
        define, lambda context: context.wait_for_event("approval", "approved", timeout="2d")
    ).trigger()
    drain_here()
    began = clock.now
    clock.advance("1h")
    drain_here()

    run = only_run()
    assert not Waiter.objects.exists()
    assert owed_to(run) == [("turn", "", clock.advance("1d"))]
    assert workflows_app.notify("approved") == []
    assert canceled() == [("approval@1", "wait", "1")]
    step = Step.objects.get(key="approval@1")
    assert loaded(step.input) == {"event": "approved", "timeout": "2d"}
    assert step.error_info == {
        "lost": "race",
        "type": "Canceled",
        "message": 'another branch of "race" was first',
        "stack": "",
    }
    assert step.started_at == began
    drain_here()
    assert result_of(run) == "nap"


def test_an_event_that_comes_first_wins(define: Define, clock: Clock) -> None:
    async def approval(context: Any) -> Any:
        return (await context.wait_for_event("approval", "approved", timeout="2d")).event_data

    against_a_nap(define, approval).trigger()
    drain_here()
    workflows_app.notify("approved", "by Ann")
    drain_here()

    assert owed_to(only_run()) == [("turn", "", clock.advance("1d"))]
    drain_here()
    assert result_of(only_run()) == "by Ann"
    assert canceled() == [("nap@2", "sleep", "2")]


def test_an_event_that_came_later_than_the_sleep_ended_has_lost(
    define: Define, clock: Clock
) -> None:
    """Both came while no worker was there."""

    async def approval(context: Any) -> Any:
        return (await context.wait_for_event("approval", "approved", timeout="2d")).event_data

    against_a_nap(define, approval).trigger()
    drain_here()
    clock.advance("2h")
    workflows_app.notify("approved", "by Ann")
    drain_here()
    clock.advance("1d")
    drain_here()

    assert result_of(only_run()) == "nap"
    assert canceled() == []


def test_a_call_that_has_lost_is_withdrawn(define: Define, clock: Clock, world: World) -> None:
    world.answers(503)
    against_a_nap(
        define,
        lambda context: context.call(
            "ask",
            url="https://peer.example",
            method="POST",
            body=1,
            retries=3,
            retry_delay="7200000",
        ),
    ).trigger()
    drain_here()
    clock.advance("1h")
    drain_here()
    clock.advance("2h")
    drain_here()

    assert len(world.sent) == 1
    assert canceled() == [("ask@1", "call", "1")]
    assert loaded(Step.objects.get(key="ask@1").input) == {
        "url": "https://peer.example",
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": "1",
    }
    assert [kind for kind, _, _ in owed_to(only_run())] == ["turn"]


def test_the_answer_to_a_call_that_has_lost_meanwhile_is_dropped(
    define: Define, clock: Clock, world: World
) -> None:
    against_a_nap(define, lambda context: context.call("ask", url="https://peer.example")).trigger()
    drain_here(limit=1)
    (call,) = leases.claim(1)
    pending = delivery.begin(call)
    assert pending is not None
    clock.stop_at(Step.objects.get(key="nap@2").ended_at)
    leases.renew([call])
    drain_here()

    delivery.settle(call, pending, answer(200, b"too late"))

    run = only_run()
    assert canceled() == [("ask@1", "call", "1")]
    assert attempts_of(run) == []
    assert owed_to(run) == [("turn", "", clock.advance("1d"))]


def test_a_step_that_was_to_be_tried_again_is_withdrawn(define: Define, clock: Clock) -> None:
    called = []

    async def flaky(context: Any) -> Any:
        def work() -> None:
            called.append(context.attempt)
            raise OSError("not yet")

        await context.options(retries=5, retry_delay="40m").run("work", work)

    against_a_nap(define, flaky).trigger()
    drain_here()
    for _ in range(4):
        clock.advance("40m")
        drain_here()

    assert called == [1, 2]
    assert canceled() == [("work@1", "run", "1")]
    step = Step.objects.get(key="work@1")
    assert step.attempts == 2
    policy = {"limit": 5, "delay": 2_400_000, "backoff": "constant"}
    assert loaded(step.config) == {"retries": policy}


def test_a_run_that_was_invoked_goes_on_and_is_not_waited_for(define: Define, clock: Clock) -> None:
    @define("other")
    async def other(context: Any) -> str:
        await context.sleep("nap", "3h")
        return "late"

    against_a_nap(define, lambda context: context.invoke("ask", workflow=other)).trigger()
    drain_here()
    clock.advance("1h")
    drain_here()
    assert canceled() == [("ask@1", "invoke", "1")]
    clock.advance("2h")
    drain_here()

    child = Invocation.objects.get().child
    assert result_of(child) == "late"
    assert canceled() == [("ask@1", "invoke", "1")]
    clock.advance("1d")
    drain_here()
    assert result_of(Run.objects.get(workflow="story")) == "nap"
    assert not Message.objects.exists()


def test_everything_below_a_branch_that_has_lost_is_withdrawn(define: Define, clock: Clock) -> None:
    async def many(context: Any) -> Any:
        def wait(name: str) -> Any:
            return lambda: context.wait_for_event(name, "approved")

        def both() -> Any:
            return context.race(wait("c"), wait("d"))

        await context.parallel(wait("a"), wait("b"), both)

    against_a_nap(define, many).trigger()
    drain_here()
    assert Waiter.objects.count() == 4
    clock.advance("1h")
    drain_here()

    assert canceled() == [
        ("a@1.1", "wait", "1.1"),
        ("b@1.2", "wait", "1.2"),
        ("c@1.3.1", "wait", "1.3.1"),
        ("d@1.3.2", "wait", "1.3.2"),
    ]
    assert [kind for kind, _, _ in owed_to(only_run())] == ["turn"]


def test_nothing_else_is_withdrawn(define: Define, clock: Clock) -> None:
    """Of a branch beside the race, and of one whose number only begins alike."""

    @define()
    async def story(context: Any) -> Any:
        def wait() -> Any:
            return context.wait_for_event("wait", "approved")

        def race() -> Any:
            return context.race(wait, after_a_nap(context))

        await context.parallel(race, *[wait] * 10)

    story.trigger()
    drain_here()
    clock.advance("1h")
    drain_here()

    assert canceled() == [("wait@1.1", "wait", "1.1")]
    assert set(Waiter.objects.values_list("key", flat=True)) == {
        f"wait@{number}" for number in range(2, 12)
    }
    assert Message.objects.filter(kind="timeout").count() == 10


def test_an_event_that_was_kept_stays_for_the_next_wait(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def wait() -> Any:
            await context.sleep("first", "2h")
            await context.wait_for_event("wait", "approved")

        await context.race(wait, after_a_nap(context))
        return (await context.wait_for_event("wait", "approved")).event_data

    started = story.trigger()
    drain_here()
    workflows_app.notify("approved", 5, started.workflow_run_id)
    clock.advance("1h")
    drain_here()

    assert result_of(only_run()) == 5
    assert not Event.objects.exists()


def failing_race(define: Define, well: list[str]) -> Workflow:
    @define(retries=0)
    async def story(context: Any) -> Any:
        async def fail() -> str:
            await context.sleep("pause", "1s")
            return str(await context.run("work", lambda: well[0]))

        return await context.race(
            lambda: context.wait_for_event("wait", "approved", timeout="2d"), fail
        )

    return story


def test_a_run_that_failed_with_its_race_is_resumed_before_its_end(
    define: Define, clock: Clock
) -> None:
    """The exception has won; the resumed run waits for the event again."""
    well: list[str] = []
    failing_race(define, well).trigger()
    drain_here()
    clock.advance("1s")
    drain_here()
    assert only_run().status == "failed"
    assert canceled() == [("wait@1", "wait", "1")]

    well.append("well")
    new = dead_letters.resume(DeadLetter.objects.get())
    assert list(new.steps.values_list("key", flat=True)) == ["pause@2"]
    drain_here()

    assert result_of(new) == "well"
    assert list(new.steps.values_list("key", flat=True).order_by("id")) == [
        "pause@2",
        "work@2",
        "race",
    ]


def test_a_run_that_failed_after_its_race_keeps_its_end(define: Define, clock: Clock) -> None:
    well: list[str] = []

    @define(retries=0)
    async def story(context: Any) -> Any:
        first = await context.race(
            lambda: context.wait_for_event("wait", "approved"), after_a_nap(context)
        )
        return [first, await context.run("work", lambda: well[0])]

    story.trigger()
    drain_here()
    clock.advance("1h")
    drain_here()
    assert only_run().status == "failed"

    well.append("well")
    new = dead_letters.resume(DeadLetter.objects.get())
    kept = list(new.steps.order_by("id").values_list("key", flat=True))
    assert kept == ["nap@2", "race", "wait@1"]
    drain_here()

    assert result_of(new) == ["nap", "well"]
    assert not Waiter.objects.exists()


def test_a_race_that_is_over_but_not_recorded_fits_the_code(
    define: Define, clock: Clock, world: World
) -> None:
    """As `manage.py workflows check` sees it, before a worker does."""
    world.answers(503)
    against_a_nap(
        define,
        lambda context: context.call(
            "ask", url="https://peer.example", retries=3, retry_delay="7200000"
        ),
    )
    workflow = workflows_app.get_workflow("story")
    workflow.trigger()
    drain_here()
    assert rehearse(workflow, only_run()).misfit is None
    clock.advance("1h")

    assert rehearse(workflow, only_run()).misfit is None


def test_a_sleep_that_has_lost_ends_with_the_race(define: Define, clock: Clock) -> None:
    async def long(context: Any) -> None:
        await context.sleep("long", "30d")

    against_a_nap(define, long).trigger()
    drain_here()
    clock.advance("1h")
    at = clock.now
    clock.advance("40d")
    drain_here()

    assert canceled() == [("long@1", "sleep", "1")]
    assert Step.objects.get(key="long@1").ended_at == at
    assert Step.objects.get(key="nap@2").error is None


def test_waking_a_run_wakes_no_sleep_that_has_lost(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def long() -> str:
            await context.sleep("long", "30d")
            return "long"

        first = await context.race(long, after_a_nap(context))
        await context.sleep("later", "1d")
        return first

    story.trigger()
    drain_here()
    clock.advance("1h")
    drain_here()
    run_moves.wake(only_run())
    drain_here()

    assert result_of(only_run()) == "nap"


def test_an_exception_that_has_won_is_raised_by_every_replay(define: Define, clock: Clock) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise ConnectionError("no route")

        try:
            await context.race(lambda: context.run("fail", fail), after_a_nap(context))
        except StepError as error:
            await context.sleep("later", "1d")
            return error.error_message

    story.trigger()
    drain_here()
    clock.advance("1d")
    drain_here()

    assert result_of(only_run()) == "no route"
