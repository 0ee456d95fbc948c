"""Pausing runs whose functions live elsewhere: their deliveries, sleeps, calls and waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tests.conftest import Clock
from tests.remote.conftest import URL, Define, World, answered, the_run
from tests.remote.programs import call, invoke, run, sleep, wait
from workflows_app.engine import delivery, leases, run_moves
from workflows_app.engine.pausing import pause, resume
from workflows_app.engine.states import State, state_of
from workflows_app.models import Attempt, Run, Step, Waiter

Work = Callable[[], int]
THIRD = "https://third.example/q"
CHILD = "https://app.example/child"
HOUR = timedelta(hours=1)


def test_an_endpoint_gets_nothing_while_its_run_is_paused(program: Define, work: Work) -> None:
    story = program(run("first"), run("last"))
    story.trigger()
    pause(the_run())

    assert work() == 0
    assert story.deliveries == []
    assert resume(the_run()) is State.QUEUED
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_what_an_endpoint_publishes_meanwhile_is_kept(program: Define, work: Work) -> None:
    """A delivery in flight goes on to the end of its step; what it publishes is delivered later."""
    story = program(run("first"), run("last"))
    story.trigger()
    (lease,) = leases.claim(1)
    assert pause(the_run()) is State.PAUSING
    delivery.deliver(lease)
    work()

    assert state_of(the_run()) is State.PAUSED
    assert [step.name for step in Step.objects.all()] == ["first"]
    assert len(story.deliveries) == 1
    resume(the_run())
    work()
    assert the_run().status == Run.Status.SUCCEEDED
    assert len(story.deliveries) == 3


def test_a_sleep_has_as_much_left_as_when_its_run_was_paused(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(sleep("nap", "3h"), run("last"))
    story.trigger()
    work()
    clock.advance("1h")
    pause(the_run())
    clock.advance("1d")
    assert resume(the_run()) is State.WAITING

    assert Step.objects.get(name="nap").ended_at == clock.now + 2 * HOUR
    clock.advance("1h59m")
    assert work() == 0
    clock.advance("1m")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_sleep_that_is_published_meanwhile_is_slept_after_the_pause(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(sleep("nap", "3h"), run("last"))
    story.trigger()
    (lease,) = leases.claim(1)
    pause(the_run())
    clock.advance("5s")
    delivery.deliver(lease)
    clock.advance("1d")
    work()
    resume(the_run())

    assert Step.objects.get(name="nap").ended_at == clock.now + 3 * HOUR
    clock.advance("2h59m")
    assert work() == 0
    clock.advance("1m")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_delivery_that_failed_in_flight_is_made_again_after_its_delay(
    program: Define, world: World, work: Work, clock: Clock
) -> None:
    story = program(run("only"))
    story.trigger(**{"Upstash-Retries": "1", "Upstash-Retry-Delay": "10800000"})
    served = world.programs.pop(URL)
    world.answers[URL] = [answered(503)]
    (lease,) = leases.claim(1)
    pause(the_run())
    delivery.deliver(lease)
    world.programs[URL] = served
    clock.advance("1d")
    work()
    resume(the_run())

    assert Attempt.objects.get().retry_at == clock.now + 3 * HOUR
    clock.advance("2h59m")
    assert work() == 0
    clock.advance("1m")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_call_in_flight_is_answered_and_the_endpoint_told_after_the_pause(
    program: Define, world: World, work: Work
) -> None:
    story = program(call("ask", THIRD), run("last"))
    world.answers[THIRD] = [answered(200, b"yes")]
    story.trigger()
    (start,) = leases.claim(1)
    delivery.deliver(start)
    (sent,) = leases.claim(1)
    assert pause(the_run()) is State.PAUSING
    delivery.deliver(sent)
    work()

    assert (state_of(the_run()), len(story.deliveries)) == (State.PAUSED, 1)
    resume(the_run())
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_an_event_ends_a_wait_meanwhile_and_a_deadline_does_not(
    program: Define, work: Work, clock: Clock
) -> None:
    first = program(wait("approval", "approved", "3h"), url=URL)
    first.trigger("first")
    second = program(wait("approval", "other", "3h"), url=CHILD)
    second.trigger("second")
    work()
    for run_id in ("first", "second"):
        pause(the_run(run_id))
    clock.advance("1d")
    assert first.api.post("/v2/notify/approved", '{"by": "Ann"}').status_code == 200
    work()

    assert [waiter.event_id for waiter in Waiter.objects.all()] == ["other"]
    for run_id in ("first", "second"):
        assert state_of(the_run(run_id)) is State.PAUSED
        resume(the_run(run_id))
    assert Waiter.objects.get().deadline == clock.now + 3 * HOUR
    work()
    assert the_run("first").status == Run.Status.SUCCEEDED
    assert state_of(the_run("second")) is State.WAITING


def test_an_invoked_run_goes_on_and_is_told_of_after_the_pause(program: Define, work: Work) -> None:
    parent = program(invoke("ask", CHILD), run("last"))
    program(run("work"), url=CHILD)
    parent.trigger("parent")
    (start,) = leases.claim(1)
    delivery.deliver(start)
    pause(the_run("parent"))
    work()

    assert Run.objects.exclude(run_id="parent").get().status == Run.Status.SUCCEEDED
    assert state_of(the_run("parent")) is State.PAUSED
    resume(the_run("parent"))
    work()
    assert the_run("parent").status == Run.Status.SUCCEEDED


def test_a_paused_run_can_be_cancelled(program: Define, work: Work) -> None:
    program(wait("approval", "approved")).trigger()
    work()
    pause(the_run())
    run_moves.cancel(the_run())

    assert state_of(the_run()) is State.CANCELED
