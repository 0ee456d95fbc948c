"""Pausing a run and having it go on: what stops, what is kept, and when the rest happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Model

from tests.conftest import Clock
from tests.engine.reading import attempts_of, journal_of, only_run, owed_to, result_of
from tests.engine.world import World
from tests.shells import Define
from workflows_app import FlowControlSpec, Workflow, notify
from workflows_app.engine import continuing, delivery, leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.engine.pausing import pause, resume
from workflows_app.engine.states import State, state_of
from workflows_app.errors import Refused, RunEnded
from workflows_app.models import FlowControl, Message, Run, Step, Waiter

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def nap(define: Define) -> Workflow:
    """A workflow that steps, sleeps for a day, and steps again."""

    @define()
    async def story(context: Any) -> Any:
        await context.run("before", lambda: None)
        await context.sleep("nap", "1d")
        return await context.run("after", lambda: "rested")

    return story


def rows() -> list[dict[str, Any]]:
    models: list[type[Model]] = [Run, Message, Step, Waiter]
    return [dict(row) for model in models for row in model._default_manager.values()]


# -- what has not begun


def test_nothing_of_a_paused_run_starts(nap: Workflow, clock: Clock) -> None:
    nap.trigger()

    assert pause(only_run()) is State.PAUSED
    assert only_run().paused_at == clock.now
    clock.advance("1d")
    assert drain_here() == 0

    assert resume(only_run()) is State.QUEUED
    assert only_run().paused_at is None
    drain_here()
    assert list(journal_of(only_run())) == ["before", "nap"]


def test_a_sleep_to_the_end_of_time_does_not_grow_beyond_it(define: Define, clock: Clock) -> None:
    forever = datetime.max.replace(tzinfo=UTC)

    @define()
    async def story(context: Any) -> None:
        await context.sleep_until("for ever", forever)

    story.trigger()
    drain_here()
    pause(only_run())
    clock.advance("1h")

    resume(only_run())
    drain_here()
    assert owed_to(only_run()) == [("turn", "", forever)]


def test_a_start_that_was_delayed_is_delayed_by_the_pause_too(nap: Workflow, clock: Clock) -> None:
    nap.trigger(delay="3h")
    clock.advance("1h")
    pause(only_run())
    clock.advance("10h")

    assert resume(only_run()) is State.WAITING
    assert owed_to(only_run()) == [("turn", "", clock.now + 2 * HOUR)]


def test_a_paused_run_keeps_nothing_of_its_limits_from_others(nap: Workflow) -> None:
    one_at_a_time = FlowControlSpec(key="vendor", parallelism=1, rate=2)
    nap.trigger(flow_control=one_at_a_time, workflow_run_id="paused")
    nap.trigger(flow_control=one_at_a_time, workflow_run_id="other")
    pause(Run.objects.get(run_id="paused"))

    assert drain_here() == 1
    assert state_of(Run.objects.get(run_id="other")) is State.WAITING
    assert FlowControl.objects.get().window_count == 1


# -- what waits


def test_a_sleep_has_as_much_left_as_when_its_run_was_paused(nap: Workflow, clock: Clock) -> None:
    nap.trigger()
    drain_here()
    clock.advance("14h")
    pause(only_run())
    clock.advance("3d")

    assert resume(only_run()) is State.WAITING
    assert owed_to(only_run()) == [("turn", "", clock.now + 10 * HOUR)]
    clock.advance("9h59m")
    assert drain_here() == 0
    clock.advance("1m")
    drain_here()
    assert result_of(only_run()) == "rested"
    assert Step.objects.get(key="nap").ended_at == clock.now


def test_an_attempt_is_as_far_away_as_when_its_run_was_paused(define: Define, clock: Clock) -> None:
    @define(retries=1, retry_delay="3h")
    async def story(context: Any) -> Any:
        def flaky() -> Any:
            if context.attempt == 1:
                raise OSError("not yet")
            return "done"

        return await context.run("flaky", flaky)

    story.trigger()
    drain_here()
    clock.advance("1h")
    pause(only_run())
    clock.advance("1d")
    resume(only_run())

    assert attempts_of(only_run()) == [("flaky", 1, "not yet", clock.now + 2 * HOUR)]
    drain_here()
    assert journal_of(only_run()) == {}
    clock.advance("2h")
    drain_here()
    assert result_of(only_run()) == "done"


def test_a_function_that_failed_is_called_again_as_much_later(define: Define, clock: Clock) -> None:
    calls = []

    @define(retries=1, retry_delay="3h")
    async def story(context: Any) -> Any:
        calls.append(clock.now)
        if len(calls) == 1:
            raise OSError

    story.trigger()
    drain_here()
    clock.advance("1h")
    pause(only_run())
    clock.advance("1d")
    resume(only_run())
    clock.advance("1h59m")
    assert drain_here() == 0
    clock.advance("1m")
    drain_here()

    assert len(calls) == 2


def test_a_call_is_tried_again_as_much_later(define: Define, world: World, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        url = "https://peer.example"
        return (await context.call("ask", url=url, retries=1, retry_delay="3h")).status

    story.trigger()
    world.answers(500, 200)
    drain_here()
    clock.advance("1h")
    pause(only_run())
    clock.advance("1d")
    assert drain_here() == 0
    resume(only_run())

    assert ("call", "ask", clock.now + 2 * HOUR) in owed_to(only_run())
    assert attempts_of(only_run())[0][3] == clock.now + 2 * HOUR
    clock.advance("2h")
    drain_here()
    assert result_of(only_run()) == 200


def test_a_deadline_is_as_far_away_as_when_the_run_was_paused(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        approval = await context.wait_for_event("approval", "approved", timeout="3h")
        return approval.timeout

    story.trigger()
    drain_here()
    clock.advance("1h")
    pause(only_run())
    clock.advance("1d")
    assert drain_here() == 0
    resume(only_run())

    assert Waiter.objects.get().deadline == clock.now + 2 * HOUR
    clock.advance("1h59m")
    assert drain_here() == 0
    clock.advance("1m")
    drain_here()
    assert result_of(only_run()) is True


def test_what_has_happened_already_stays_as_it_was(define: Define, clock: Clock) -> None:
    @define(retries=1, retry_delay="1s")
    async def story(context: Any) -> Any:
        def flaky() -> None:
            if context.attempt == 1:
                raise OSError("not yet")

        await context.run("flaky", flaky)
        await context.sleep("short", "1s")
        await context.sleep("nap", "1d")

    story.trigger()
    drain_here()
    for _ in range(2):
        clock.advance("1s")
        drain_here()
    over = Step.objects.exclude(key="nap")
    before = [list(over.values()), attempts_of(only_run())]
    pause(only_run())
    clock.advance("1h")
    resume(only_run())

    assert [list(over.values()), attempts_of(only_run())] == before


def test_only_the_run_itself_is_paused(nap: Workflow, clock: Clock) -> None:
    nap.trigger_many([None, None])
    drain_here()
    first, second = Run.objects.order_by("pk")
    before = [owed_to(second), list(Step.objects.filter(run=second).values())]
    pause(first)
    clock.advance("1h")
    resume(first)

    assert [owed_to(second), list(Step.objects.filter(run=second).values())] == before


# -- what comes meanwhile


def test_an_event_is_taken_at_once_and_the_run_goes_on_when_it_is_resumed(
    define: Define, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        approval = await context.wait_for_event("approval", "approved", timeout="3h")
        return approval.event_data

    story.trigger()
    drain_here()
    pause(only_run())
    clock.advance("1d")
    notify("approved", "yes")
    drain_here()

    run = only_run()
    assert state_of(run) is State.PAUSED
    assert journal_of(run) == {"approval": {"timeout": False, "data": '"yes"'}}
    assert not Waiter.objects.exists()
    assert resume(run) is State.QUEUED
    drain_here()
    assert result_of(run) == "yes"


def test_an_event_that_comes_first_is_kept_for_a_paused_run(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        return (await context.wait_for_event("approval", "approved")).event_data

    story.trigger(workflow_run_id="order-7")
    pause(only_run())
    notify("approved", "yes", "order-7")
    assert drain_here() == 0
    resume(only_run())
    drain_here()

    assert result_of(only_run()) == "yes"


def test_a_run_that_it_invoked_goes_on_and_is_reported_when_it_is_resumed(
    define: Define,
) -> None:
    @define("child")
    async def child(context: Any) -> Any:
        return await context.run("work", lambda: "done")

    @define("parent")
    async def parent(context: Any) -> Any:
        return (await context.invoke("ask", workflow=child)).body

    parent.trigger(workflow_run_id="parent")
    (lease,) = leases.claim(1)
    delivery.deliver(lease)
    run = Run.objects.get(run_id="parent")
    pause(run)
    drain_here()

    assert result_of(Run.objects.get(workflow="child")) == "done"
    run.refresh_from_db()
    assert state_of(run) is State.PAUSED
    assert journal_of(run) == {}
    resume(run)
    drain_here()
    assert result_of(run) == "done"


# -- what is in flight


def paused_while_at_work(context: Any, then: Callable[[], None] = lambda: None) -> str:
    assert pause(only_run()) is State.PAUSING
    then()
    return "finished"


def test_a_step_in_flight_ends_and_no_other_begins(define: Define) -> None:
    begun: list[str] = []

    @define()
    async def story(context: Any) -> Any:
        await context.run("at work", paused_while_at_work, context)
        return await context.run("next", begun.append, "next")

    story.trigger()
    drain_here()

    run = only_run()
    assert state_of(run) is State.PAUSED
    assert journal_of(run) == {"at work": "finished"}
    assert begun == []
    resume(run)
    drain_here()
    assert result_of(run) is None
    assert begun == ["next"]


def test_each_branch_ends_after_its_step_in_flight(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def branch() -> None:
            for _ in range(3):
                await context.run("work", int)

        await context.parallel(branch, branch)

    story.trigger()
    run = paused_in_flight()

    assert state_of(run) is State.PAUSED
    assert {"work@1"} <= set(journal_of(run)) <= {"work@1", "work@2"}
    resume(run)
    drain_here()
    assert len(journal_of(run)) == 6


def test_an_attempt_in_flight_that_fails_is_made_again_after_its_delay(
    define: Define, clock: Clock
) -> None:
    """The delay begins when the attempt ends, and is not over sooner because nothing happens."""

    @define(retries=1, retry_delay="3h")
    async def story(context: Any) -> Any:
        def flaky() -> Any:
            if context.attempt == 1:
                pause(only_run())
                clock.advance("30m")
                raise OSError("not yet")
            return "done"

        return await context.run("flaky", flaky)

    story.trigger()
    drain_here()
    clock.advance("1d")
    drain_here()
    resume(only_run())

    assert attempts_of(only_run()) == [("flaky", 1, "not yet", clock.now + 3 * HOUR)]
    clock.advance("2h59m")
    drain_here()
    assert state_of(only_run()) is State.WAITING
    clock.advance("1m")
    drain_here()
    assert result_of(only_run()) == "done"


@pytest.mark.parametrize("answer", [500, 200])
def test_a_call_in_flight_is_answered_and_the_rest_waits(
    answer: int, define: Define, world: World, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        url = "https://peer.example"
        return (await context.call("ask", url=url, retries=1, retry_delay="3h")).status

    story.trigger()
    (turn,) = leases.claim(1)
    delivery.deliver(turn)
    (call,) = leases.claim(1)
    assert pause(only_run()) is State.PAUSING
    world.answers(answer)
    delivery.deliver(call)
    clock.advance("1d")
    drain_here()

    run = only_run()
    assert state_of(run) is State.PAUSED
    assert len(world.sent) == 1
    resume(run)
    if answer != 200:
        assert ("call", "ask", clock.now + 3 * HOUR) in owed_to(run)
        clock.advance("3h")
        world.answers(200)
    drain_here()
    assert result_of(run) == 200


def paused_in_flight() -> Run:
    """The only run, whose turn was taken before it was paused, and has ended."""
    (lease,) = leases.claim(1)
    assert pause(only_run()) is State.PAUSING
    delivery.deliver(lease)
    return Run.objects.order_by("-pk")[0]


def test_a_run_whose_function_comes_to_its_end_has_ended(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        return "ended"

    story.trigger()

    assert result_of(paused_in_flight()) == "ended"


def test_a_run_whose_function_fails_for_good_has_failed_and_is_told_of(define: Define) -> None:
    told = []

    @define(retries=0)
    async def story(context: Any) -> Any:
        raise ValueError("broken")

    @story.on_failure
    def tell(failure: Any) -> None:
        told.append(failure.error_message)

    story.trigger()
    run = paused_in_flight()
    drain_here()

    assert state_of(run) is State.FAILED
    assert told == ["broken"]


def test_a_function_that_fails_in_flight_is_called_again_after_its_delay(
    define: Define, clock: Clock
) -> None:
    @define(retries=1, retry_delay="3h")
    async def story(context: Any) -> Any:
        raise ValueError("broken")

    story.trigger()
    run = paused_in_flight()
    clock.advance("1d")
    drain_here()
    assert state_of(run) is State.PAUSED
    resume(run)
    drain_here()

    assert attempts_of(run) == [("", 1, "broken", clock.now + 3 * HOUR)]
    assert owed_to(run) == [("turn", "", clock.now + 3 * HOUR)]


def test_a_run_that_begins_anew_meanwhile_is_paused_as_the_one_before(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        if context.request_payload is None:
            await context.continue_as_new("second")
        return context.request_payload

    story.trigger()
    second = paused_in_flight()
    drain_here()

    first = Run.objects.exclude(pk=second.pk).get()
    assert state_of(second) is State.PAUSED
    assert resume(first) is State.QUEUED
    drain_here()
    assert result_of(second) == "second"
    assert continuing.continuation_of(first) == second


def test_a_pause_that_is_ended_before_it_took_effect_changes_nothing(define: Define) -> None:
    turns = []

    @define()
    async def story(context: Any) -> Any:
        turns.append("turn")

        def work() -> None:
            pause(only_run())
            assert resume(only_run()) is State.RUNNING

        await context.run("at work", work)
        return await context.run("next", lambda: "done")

    story.trigger()
    drain_here()

    assert result_of(only_run()) == "done"
    assert turns == ["turn"]


def test_an_inline_run_waits_for_its_resumption_like_any_other(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.run("at work", paused_while_at_work, context)
        return await context.run("next", lambda: "done")

    inline = story.run()

    assert (inline.status, inline.result) == ("running", None)
    assert state_of(only_run()) is State.PAUSED
    drain_here()
    resume(only_run())
    drain_here()
    assert result_of(only_run()) == "done"


def test_a_worker_that_dies_while_its_run_is_paused_leaves_it_paused(
    nap: Workflow, clock: Clock
) -> None:
    nap.trigger()
    leases.claim(1)
    assert pause(only_run()) is State.PAUSING
    clock.advance("1m")
    assert state_of(only_run()) is State.PAUSED

    assert drain_here() == 1
    assert (state_of(only_run()), leases.next_due()) == (State.PAUSED, None)
    resume(only_run())
    drain_here()
    assert list(journal_of(only_run())) == ["before", "nap"]


def test_what_was_claimed_while_its_run_was_paused_is_due_again_if_it_is_resumed_meanwhile(
    nap: Workflow, clock: Clock
) -> None:
    nap.trigger()
    leases.claim(1)
    pause(only_run())
    clock.advance("1m")
    (lease,) = leases.claim(1)
    resume(only_run())
    delivery.deliver(lease)

    assert owed_to(only_run()) == [("turn", "", clock.now)]
    drain_here()
    assert list(journal_of(only_run())) == ["before", "nap"]


# -- commands


def test_to_pause_again_changes_nothing(nap: Workflow, clock: Clock) -> None:
    nap.trigger()
    drain_here()
    pause(only_run())
    before = rows()
    clock.advance("1h")

    assert pause(only_run()) is State.PAUSED
    assert rows() == before


def test_to_resume_a_run_that_is_not_paused_changes_nothing(nap: Workflow) -> None:
    nap.trigger()
    drain_here()
    before = rows()

    assert resume(only_run()) is State.WAITING
    assert rows() == before


@pytest.mark.parametrize("verb", [pause, resume])
def test_a_run_that_has_ended_can_be_neither_paused_nor_resumed(
    verb: Callable[[Run], State], nap: Workflow
) -> None:
    nap.trigger(workflow_run_id="order-7")
    run_moves.cancel(only_run())
    before = rows()

    with pytest.raises(RunEnded) as refusal:
        verb(only_run())
    assert refusal.value.message == ("run order-7 has ended, and can be neither paused nor resumed")
    assert rows() == before


def test_a_paused_run_can_be_cancelled(nap: Workflow) -> None:
    nap.trigger()
    drain_here()
    pause(only_run())
    run_moves.cancel(only_run())

    assert state_of(only_run()) is State.CANCELED
    assert owed_to(only_run()) == []


def test_a_paused_run_is_not_woken(nap: Workflow) -> None:
    nap.trigger(workflow_run_id="order-7")
    drain_here()
    pause(only_run())
    before = rows()

    with pytest.raises(Refused) as refusal:
        run_moves.wake(only_run())
    assert refusal.value.message == "run order-7 is paused and cannot be woken; resume it"
    assert rows() == before
