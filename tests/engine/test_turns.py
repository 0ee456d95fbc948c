"""A run's life on a real database, from its trigger to its end, by both shells alike."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.reading import (
    attempts_of,
    error_of,
    journal_of,
    letter_of,
    only_run,
    owed_to,
    result_of,
)
from tests.engine.world import World
from tests.places import without_places
from tests.shells import Define
from workflows_app import Context, StepError, Workflow, WorkflowRetryAfterError, workflow
from workflows_app.engine import delivery, leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.models import Attempt, DeadLetter, Message, Run, Step

pytestmark = pytest.mark.django_db


def test_a_run_whose_function_returns_has_succeeded_and_is_owed_nothing(
    define: Define, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        first = await context.run("first", lambda: 1)
        return {"sum": await context.run("second", lambda: first + 1)}

    story.trigger()
    drain_here()

    run = only_run()
    assert result_of(run) == {"sum": 2}
    assert (run.live_id, run.ended_at, run.error) == (None, clock.now, None)
    assert journal_of(run) == {"first": 1, "second": 2}
    assert owed_to(run) == []
    assert not Attempt.objects.exists()
    assert not DeadLetter.objects.exists()


def test_a_run_that_returns_nothing_has_no_result(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        return None

    story.trigger()
    drain_here()

    assert result_of(only_run()) is None
    assert only_run().result is None


def test_a_step_is_stored_with_all_that_is_known_of_it(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def branch() -> Any:
            await context.run("add", lambda a, b: a + b, 2, b=3)

        await context.parallel(branch)

    story.trigger()
    drain_here()

    (step,) = Step.objects.values()
    assert step == {
        "id": step["id"],
        "raw": None,
        "run_id": only_run().pk,
        "key": "add@1",
        "branch": "1",
        "name": "add",
        "kind": "run",
        "input": '{"args":[2],"kwargs":{"b":3}}',
        "result": "5",
        "error": None,
        "attempts": 1,
        "started_at": clock.now,
        "ended_at": clock.now,
        "sensitive": False,
        "config": None,
    }


def test_a_sleeping_run_holds_no_lease_and_is_due_when_it_wakes(
    define: Define, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.run("before", lambda: None)
        await context.sleep("night", "8h")
        return await context.run("after", lambda: "morning")

    story.trigger()
    drain_here()

    run = only_run()
    assert run.status == Run.Status.RUNNING
    assert owed_to(run) == [("turn", "", clock.now + timedelta(hours=8))]
    assert Message.objects.get().token is None
    clock.advance("7h")
    assert drain_here() == 0
    clock.advance("1h")
    assert drain_here() == 1
    assert result_of(run) == "morning"


def test_a_run_that_retries_a_step_is_due_when_its_attempt_is(define: Define, clock: Clock) -> None:
    @define(retries=2)
    async def story(context: Any) -> Any:
        def flaky() -> Any:
            if context.attempt < 3:
                raise ConnectionError(f"no route {context.attempt}")
            return "arrived"

        return await context.run("ship", flaky)

    story.trigger()
    run = only_run()
    drain_here()
    first = clock.now + timedelta(seconds=12)
    assert owed_to(run) == [("turn", "", first)]
    clock.stop_at(first)
    drain_here()
    second = clock.now + timedelta(seconds=148)
    assert owed_to(run) == [("turn", "", second)]
    clock.stop_at(second)
    drain_here()

    assert result_of(run) == "arrived"
    assert attempts_of(run) == [
        ("ship", 1, "no route 1", first),
        ("ship", 2, "no route 2", second),
    ]
    assert Step.objects.get().attempts == 3


def test_a_policy_given_at_the_trigger_comes_before_the_workflow_s(
    define: Define, clock: Clock
) -> None:
    @define(retries=9, retry_delay="1")
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise OSError

        await context.run("fail", fail)

    story.trigger(retries=1, retry_delay="60000")
    drain_here()
    assert owed_to(only_run()) == [("turn", "", clock.now + timedelta(minutes=1))]
    clock.advance("1m")
    drain_here()

    assert error_of(only_run())[0] == "StepError"


def test_a_step_may_set_the_time_of_its_next_attempt(define: Define, clock: Clock) -> None:
    @define(retries=1)
    async def story(context: Any) -> Any:
        def ask() -> Any:
            if context.attempt == 1:
                raise WorkflowRetryAfterError("busy", retry_after="90s")
            return "answered"

        return await context.run("ask", ask)

    story.trigger()
    drain_here()
    assert owed_to(only_run()) == [("turn", "", clock.now + timedelta(seconds=90))]
    clock.advance("90s")
    drain_here()

    assert result_of(only_run()) == "answered"


def test_a_run_whose_step_failed_for_good_is_in_the_dead_letter_queue(
    define: Define, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise ConnectionError("no funds")

        await context.run("charge", fail)

    story.trigger()
    drain_here()

    run = only_run()
    assert error_of(run) == (
        "StepError",
        'step "charge" failed after 1 attempt: ConnectionError: no funds',
    )
    assert run.error_info is not None
    assert (run.error_info["step"], run.error_info["key"]) == ("charge", "charge")
    assert (run.live_id, run.ended_at, run.result) == (None, clock.now, None)
    assert owed_to(run) == []
    letter = letter_of(run)
    assert (letter.account, letter.created_at) == (run.account, clock.now)
    assert (letter.callback_state, letter.callback_response) == ("", "")
    step = Step.objects.get()
    assert step.error_info is not None
    assert (step.result, step.error_info["message"]) == (None, "no funds")


def test_a_run_that_handles_the_failure_of_its_step_goes_on(define: Define) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise ConnectionError("no funds")

        try:
            await context.run("charge", fail)
        except StepError as error:
            await context.sleep("calm down", "1h")
            return await context.run("apologize", "sorry: {0.error_message}".format, error)

    story.trigger()
    drain_here()
    Step.objects.filter(kind="sleep").update(ended_at=only_run().created_at)
    Message.objects.update(due_at=only_run().created_at)
    drain_here()

    assert result_of(only_run()) == "sorry: no funds"
    assert not DeadLetter.objects.exists()


def test_a_function_that_raises_between_its_steps_is_tried_again_and_fails_the_run(
    define: Define, clock: Clock
) -> None:
    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        await context.run("once", lambda: None)
        raise KeyError("order")

    story.trigger()
    drain_here()
    clock.advance("1s")
    drain_here()

    run = only_run()
    assert error_of(run) == ("KeyError", "'order'")
    assert attempts_of(run) == [("", 1, "'order'", clock.now), ("", 2, "'order'", None)]
    assert journal_of(run) == {"once": None}


def test_a_run_that_cancels_itself_is_canceled_and_owed_nothing(
    define: Define, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.run("before", lambda: None)
        await context.cancel()

    story.trigger()
    drain_here()

    run = only_run()
    assert (run.status, run.live_id, run.ended_at) == ("canceled", None, clock.now)
    assert owed_to(run) == []
    assert not DeadLetter.objects.exists()


def test_a_hundred_branches_that_sleep_and_step_are_fine(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def branch(number: int) -> Any:
            await context.sleep("nap", timedelta(minutes=number % 3))
            return await context.run("square", lambda: number * number)

        return await context.parallel(
            *(lambda number=number: branch(number) for number in range(100))
        )

    story.trigger()
    for _ in range(3):
        drain_here()
        clock.advance("1m")

    run = only_run()
    assert result_of(run) == [number * number for number in range(100)]
    assert Step.objects.filter(run=run).count() == 200


def test_a_result_over_the_allowed_size_fails_the_run_with_step_and_size(
    define: Define, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MAX_RESULT_BYTES": 10}

    @define(retries=3)
    async def story(context: Any) -> Any:
        await context.run("read-file", lambda: "x" * 9)

    story.trigger()
    drain_here()

    assert error_of(only_run()) == (
        "StepError",
        'step "read-file" failed after 1 attempt: InvalidInput: step "read-file" returned 11 bytes '
        "of JSON, more than the 10 that WORKFLOWS['MAX_RESULT_BYTES'] allows; store the data "
        "elsewhere and return a reference to it",
    )


@pytest.mark.parametrize("size", [1_000, 1_000_000], ids=["1 kB", "1 MB"])
def test_results_and_payloads_may_be_large(size: int, define: Define) -> None:
    text = "größe 茶 \x00 " * (size // 10)

    @define()
    async def story(context: Any) -> Any:
        return await context.run("echo", lambda: context.request_payload)

    story.trigger(text)
    drain_here()

    assert result_of(only_run()) == text


def test_a_payload_of_bytes_arrives_as_it_was(define: Define) -> None:
    seen = []

    @define()
    async def story(context: Any) -> Any:
        seen.append(context.request_payload)

    story.trigger(bytes(range(256)))
    drain_here()

    assert seen == [bytes(range(256))]


def test_a_function_knows_its_run(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        return [
            context.workflow_run_id,
            context.url,
            dict(context.headers),
            context.labels,
            context.attempt,
            await context.run("key", lambda: context.idempotency_key),
        ]

    story.trigger(workflow_run_id="order-7", headers={"X-Tenant": "north"}, labels=["a", "b"])
    drain_here()

    assert result_of(only_run()) == [
        "order-7",
        "http://127.0.0.1:8000/serve/story",
        {"X-Tenant": "north"},
        ["a", "b"],
        1,
        "order-7:1893585600000:key",
    ]


# -- code that changes


@pytest.fixture
def gone(define: Define, registry: dict[str, Workflow], clock: Clock) -> Workflow:
    """A workflow whose code was taken away when a run of it had begun."""

    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        return "done"

    story.trigger()
    del registry["story"]
    drain_here()
    clock.advance("1s")
    return story


def test_a_run_whose_workflow_is_gone_waits_for_it_to_be_put_back(
    gone: Workflow, registry: dict[str, Workflow]
) -> None:
    registry["story"] = gone
    drain_here()

    assert result_of(only_run()) == "done"
    assert [attempt[:2] for attempt in attempts_of(only_run())] == [("", 1)]


def test_a_run_whose_workflow_is_gone_for_good_fails(gone: Workflow) -> None:
    drain_here()

    error, message = error_of(only_run())
    assert error == "UnknownWorkflow"
    assert message.startswith('no workflow "story" is registered here (registered: ')
    assert [attempt[:2] for attempt in attempts_of(only_run())] == [("", 1), ("", 2)]


def test_code_that_no_longer_fits_fails_the_run_and_says_what_to_do(
    define: Define, clock: Clock
) -> None:
    @define()
    async def before(context: Any) -> Any:
        await context.run("old", lambda: None)
        await context.sleep("nap", "1h")

    before.trigger(workflow_run_id="order-7")
    drain_here()

    @define()
    async def after(context: Any) -> Any:
        await context.run("new", lambda: None)

    clock.advance("1h")
    drain_here()

    kind, message = error_of(only_run())
    assert (kind, without_places(message)) == (
        "IncompatibleHistory",
        'run order-7 has recorded run step "old" where the code of workflow "story" now asks for '
        'run step "new". Code that runs in flight depend on must keep the order and names of the '
        "steps they have recorded: put the old code back and resume the run from the dead letter "
        "queue, or restart it to run all steps again with the new code.",
    )
    assert journal_of(only_run()) == {"old": None, "nap": None}


# -- transactions of the function


@pytest.mark.parametrize("verb", ["run", "atomic", "sleep"])
def test_a_step_inside_a_transaction_of_the_function_is_refused(
    verb: str, registry: dict[str, Workflow]
) -> None:
    @workflow("story", retries=3)
    def story(context: Context) -> Any:
        with transaction.atomic():
            if verb == "sleep":
                context.sleep("nap", "1h")
            else:
                getattr(context, verb)("step", int)

    story.trigger()
    drain_here()

    assert error_of(only_run()) == (
        "StepMisuse",
        f"a step of run {only_run().run_id} was called inside transaction.atomic(), whose rollback "
        "would undo what the journal has recorded; open transactions inside steps, or use "
        "context.atomic",
    )
    assert journal_of(only_run()) == {}


# -- a worker that loses its lease, stops, or meets trouble


def test_an_attempt_that_lost_its_lease_is_shown_as_superseded(
    define: Define, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_lease() -> str:
        Message.objects.update(token="another worker's")
        return "dropped"

    @define()
    async def story(context: Any) -> Any:
        await context.run("slow", lose_lease)

    story.trigger(workflow_run_id="order-7")
    with caplog.at_level(logging.WARNING):
        drain_here()

    (attempt,) = Attempt.objects.values()
    assert attempt == {
        "id": attempt["id"],
        "run_id": only_run().pk,
        "key": "",
        "outcome": "superseded",
        "number": 1,
        "error": attempt["error"],
        "started_at": clock.now,
        "ended_at": clock.now,
        "retry_at": None,
        "config": None,
    }
    assert Attempt.objects.get().error_info["message"] == (
        "Another worker took over this message; nothing of this attempt was written."
    )
    assert caplog.messages == [
        "run order-7: another worker has taken over; this attempt is dropped"
    ]
    assert journal_of(only_run()) == {}


def test_an_attempt_that_was_superseded_uses_up_no_retry(define: Define, clock: Clock) -> None:
    calls = []

    def lose_lease_once() -> int:
        calls.append(1)
        if len(calls) == 1:
            Message.objects.update(token="another worker's")
        return len(calls)

    @define(retries=0)
    async def story(context: Any) -> Any:
        return await context.run("slow", lose_lease_once)

    story.trigger()
    drain_here()
    clock.advance("15s")
    drain_here()

    assert result_of(only_run()) == 2


def test_a_run_that_was_cancelled_while_its_step_was_at_work_drops_the_result(
    define: Define,
) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.run("slow", lambda: run_moves.cancel(only_run()))
        await context.run("next", lambda: None)

    story.trigger()
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert journal_of(only_run()) == {}
    assert not Attempt.objects.exists()
    assert not DeadLetter.objects.exists()


def test_a_worker_that_stops_leaves_the_rest_of_the_turn_to_another(define: Define) -> None:
    stopping = threading.Event()

    @define()
    async def story(context: Any) -> Any:
        await context.run("in flight", stopping.set)
        return await context.run("next", lambda: "done")

    story.trigger()
    (lease,) = leases.claim(1)
    delivery.deliver(lease, stopping)

    run = only_run()
    assert journal_of(run) == {"in flight": None}
    assert Message.objects.get().token is None
    drain_here()
    assert result_of(run) == "done"
    assert not Attempt.objects.exists()


def test_a_delivery_that_breaks_in_an_unforeseen_way_rests_a_second(
    define: Define, world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.call("ask", url="https://peer.example")

    story.trigger()
    drain_here(limit=1)
    call = Message.objects.get(kind="call")
    sound, call.request = call.request, "{}"
    call.save()
    drain_here()

    call.refresh_from_db()
    assert (call.token, call.due_at) == (None, clock.now + timedelta(seconds=1))
    assert caplog.messages == [f"the delivery of message {call.pk} failed"]
    Message.objects.filter(pk=call.pk).update(request=sound)
    world.answers(200)
    clock.advance("1s")
    drain_here()
    assert only_run().status == Run.Status.SUCCEEDED


def test_a_delivery_that_lost_its_lease_in_trouble_leaves_the_message_alone(
    define: Define, world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.call("ask", url="https://peer.example")

    story.trigger()
    drain_here(limit=1)
    (lease,) = leases.claim(1)
    Message.objects.filter(kind="call").update(token="another worker's", request="{}")
    before = Message.objects.filter(kind="call").values().get()
    delivery.deliver(lease)

    assert Message.objects.filter(kind="call").values().get() == before


def test_a_database_that_fails_under_a_delivery_uses_up_no_retry(
    define: Define, world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        return "done"

    world.failure = OperationalError("server closed the connection unexpectedly")
    story.trigger()
    drain_here()
    world.failure = None

    run = only_run()
    assert owed_to(run) == [("turn", "", clock.now + timedelta(seconds=1))]
    clock.advance("1s")
    drain_here()
    assert result_of(run) == "done"
    assert not Attempt.objects.exists()
