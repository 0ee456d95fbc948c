"""Telling a failure function that its run has failed, and telling it again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import attempts_of, letter_of, loaded, only_run, owed_to
from tests.engine.world import Bell, World
from tests.shells import Define, Shell
from workflows_app import Failure, FlowControlSpec, Workflow, WorkflowNonRetryableError
from workflows_app.engine import dead_letters, delivery, leases
from workflows_app.engine.drain import drain_here
from workflows_app.engine.failures import KEY
from workflows_app.errors import Refused
from workflows_app.models import Attempt, DeadLetter, Message, Run

pytestmark = pytest.mark.django_db

State = DeadLetter.CallbackState


class Listener:
    """What a failure function does: raises each of `errors` in turn, then returns."""

    def __init__(self, *errors: Exception, returns: Any = None) -> None:
        self.heard: list[Failure] = []
        self.errors = list(errors)
        self.returns = returns

    def hear(self, failure: Failure) -> Any:
        self.heard.append(failure)
        if self.errors:
            raise self.errors.pop(0)
        return self.returns


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def failing(define: Define, shell: Shell, listener: Listener, clock: Clock) -> Workflow:
    """A workflow whose step "charge" fails, with a failure function as sync or async as itself."""

    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        def charge() -> None:
            raise WorkflowNonRetryableError("no funds")

        await context.run("charge", charge)

    async def hear(failure: Failure) -> Any:
        return listener.hear(failure)

    story.on_failure(listener.hear if shell is Shell.SYNC else hear)
    return story


def test_a_failure_function_is_told_what_failed_and_how(
    failing: Workflow, listener: Listener
) -> None:
    failing.trigger(
        {"id": 7}, workflow_run_id="order-7", headers={"X-Tenant": "north"}, labels=["a", "b"]
    )
    drain_here()

    assert listener.heard == [
        Failure(
            workflow_run_id="order-7",
            request_payload={"id": 7},
            headers={"X-Tenant": "north"},
            labels=("a", "b"),
            error_type="StepError",
            error_message='step "charge" failed after 1 attempt: WorkflowNonRetryableError: '
            "no funds",
            step="charge",
            attempt=1,
        )
    ]


def test_a_failure_of_the_function_itself_names_no_step(define: Define, listener: Listener) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        raise KeyError("order")

    story.on_failure(listener.hear)
    story.trigger(workflow_run_id="order-7")
    drain_here()

    (failure,) = listener.heard
    assert (failure.error_type, failure.error_message, failure.step) == (
        "KeyError",
        "'order'",
        None,
    )
    assert failure.request_payload is None


def test_it_is_told_once_and_what_it_returned_is_kept(
    failing: Workflow, listener: Listener
) -> None:
    listener.returns = {"paged": ["ada"]}
    failing.trigger()
    drain_here()

    letter = letter_of(only_run())
    assert letter.callback_state == State.SUCCEEDED
    assert loaded(letter.callback_response) == {
        "status": 200,
        "headers": {},
        "body": '{"paged":["ada"]}',
    }
    assert drain_here() == 0
    assert len(listener.heard) == 1
    assert not Message.objects.exists()


def test_nothing_returned_is_an_empty_answer(failing: Workflow, listener: Listener) -> None:
    failing.trigger()
    drain_here()

    assert loaded(letter_of(only_run()).callback_response) == {
        "status": 200,
        "headers": {},
        "body": "",
    }


def test_a_run_that_has_failed_is_owed_the_telling_in_the_same_moment(
    failing: Workflow, clock: Clock
) -> None:
    failing.trigger(flow_control=FlowControlSpec(key="k", parallelism=1))
    drain_here(limit=1)

    run = only_run()
    assert run.status == Run.Status.FAILED
    assert owed_to(run) == [("failure", "", clock.now)]
    assert Message.objects.get().flow_control == run.flow_control
    assert letter_of(run).callback_state == State.IN_PROGRESS


def test_a_run_that_succeeds_or_is_cancelled_has_nothing_to_tell(
    define: Define, listener: Listener
) -> None:
    @define()
    async def story(context: Any) -> Any:
        if context.request_payload == "cancel":
            await context.cancel()

    story.on_failure(listener.hear)
    story.trigger_many([None, "cancel"])
    drain_here()

    assert listener.heard == []


def test_a_failure_function_that_raises_is_told_again_by_the_run_s_policy(
    failing: Workflow, listener: Listener, clock: Clock
) -> None:
    listener.errors = [ConnectionError("the pager is down")]
    failing.trigger()
    drain_here()

    run = only_run()
    at = clock.now + timedelta(seconds=1)
    assert owed_to(run) == [("failure", "", at)]
    assert letter_of(run).callback_state == State.IN_PROGRESS
    assert attempts_of(run)[1:] == [(KEY, 1, "the pager is down", at)]
    clock.stop_at(at)
    drain_here()
    assert [failure.attempt for failure in listener.heard] == [1, 2]
    assert letter_of(run).callback_state == State.SUCCEEDED


def test_a_failure_function_that_raises_to_the_last_has_failed(
    failing: Workflow, listener: Listener, clock: Clock
) -> None:
    listener.errors = [ConnectionError("the pager is down")] * 9
    failing.trigger()
    drain_here()
    clock.advance("1s")
    drain_here()

    run = only_run()
    letter = letter_of(run)
    assert letter.callback_state == State.FAILED
    assert loaded(letter.callback_response) == {
        "status": 500,
        "headers": {},
        "body": '{"error":"ConnectionError","message":"the pager is down"}',
    }
    assert attempts_of(run)[1:] == [
        (KEY, 1, "the pager is down", clock.now),
        (KEY, 2, "the pager is down", None),
    ]
    assert owed_to(run) == []
    assert run.status == Run.Status.FAILED


def test_a_failure_function_may_give_up_at_once(failing: Workflow, listener: Listener) -> None:
    listener.errors = [WorkflowNonRetryableError("nobody to page")]
    failing.trigger()
    drain_here()

    letter = letter_of(only_run())
    assert letter.callback_state == State.FAILED
    assert loaded(letter.callback_response)["status"] == 489
    assert len(listener.heard) == 1


def test_what_a_failure_function_returns_must_be_json(
    failing: Workflow, listener: Listener, clock: Clock
) -> None:
    listener.returns = {1, 2}
    failing.trigger()
    drain_here()

    assert attempts_of(only_run())[1][2] == (
        "the value is a set, which JSON cannot hold; convert it first"
    )


def test_a_failure_function_that_exits_does_not_end_the_worker(
    define: Define, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        raise KeyError("order")

    @story.on_failure
    def exit_all(failure: Failure) -> None:
        raise SystemExit(3)

    story.trigger()
    drain_here()

    assert letter_of(only_run()).callback_state == State.FAILED
    assert attempts_of(only_run())[1][2] == "sys.exit(3) was called"


def test_a_failure_function_that_is_gone_is_waited_for_and_then_given_up(
    failing: Workflow, clock: Clock
) -> None:
    failing.trigger()
    drain_here(limit=1)
    failing.failure_function = None
    drain_here()
    clock.advance("1s")
    drain_here()

    letter = letter_of(only_run())
    assert letter.callback_state == State.FAILED
    assert attempts_of(only_run())[1][2] == 'workflow "story" has no failure function any more'


def test_without_a_failure_function_nobody_is_told(define: Define) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        raise KeyError("order")

    story.trigger()
    drain_here()

    assert letter_of(only_run()).callback_state == State.NONE
    assert not Message.objects.exists()


# -- leases that are lost


@pytest.mark.parametrize("outcome", ["told", "to be told again", "failed"])
def test_who_lost_the_lease_while_telling_writes_nothing(
    outcome: str, failing: Workflow, listener: Listener, clock: Clock
) -> None:
    errors: dict[str, list[Exception]] = {
        "told": [],
        "to be told again": [OSError()],
        "failed": [WorkflowNonRetryableError()],
    }
    listener.errors = errors[outcome]
    failing.trigger()
    drain_here(limit=1)
    (slow,) = leases.claim(1)
    clock.advance("15s")
    (other,) = leases.claim(1)
    before = Message.objects.values().get()
    delivery.deliver(slow)

    assert Message.objects.values().get() == before
    assert letter_of(only_run()).callback_state == State.IN_PROGRESS
    assert not Attempt.objects.filter(key=KEY).exists()
    listener.errors = []
    delivery.deliver(other)
    assert letter_of(only_run()).callback_state == State.SUCCEEDED


# -- telling again, and no more


@pytest.fixture
def untold(failing: Workflow, listener: Listener) -> DeadLetter:
    """A failed run whose failure function has failed as well."""
    listener.errors = [WorkflowNonRetryableError("nobody to page")]
    failing.trigger(workflow_run_id="order-7")
    drain_here()
    return letter_of(only_run())


def test_a_telling_that_failed_can_be_tried_again(
    untold: DeadLetter, listener: Listener, bell: Bell
) -> None:
    dead_letters.retry_failure_callback(untold)

    assert bell.rings == 1
    untold.refresh_from_db()
    assert untold.callback_state == State.IN_PROGRESS
    drain_here()
    untold.refresh_from_db()
    assert untold.callback_state == State.SUCCEEDED
    assert [failure.attempt for failure in listener.heard] == [1, 1]


def test_a_telling_that_is_tried_again_has_all_its_retries_again(
    failing: Workflow, listener: Listener, clock: Clock
) -> None:
    listener.errors = [ConnectionError("busy")] * 5
    failing.trigger(workflow_run_id="order-7", retries=1, retry_delay="1000")
    drain_here()
    clock.advance("1s")
    drain_here()
    letter = letter_of(only_run())
    assert letter.callback_state == State.FAILED

    dead_letters.retry_failure_callback(letter)
    drain_here()
    clock.advance("1s")
    drain_here()

    assert [failure.attempt for failure in listener.heard] == [1, 2, 1, 2]
    assert letter_of(only_run()).callback_state == State.FAILED


def test_only_a_telling_that_failed_can_be_tried_again(
    untold: DeadLetter, listener: Listener
) -> None:
    dead_letters.retry_failure_callback(untold)
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            dead_letters.retry_failure_callback(untold)
        assert refusal.value.message == "run order-7 has no failed failure callback to retry"
        drain_here()

    assert len(listener.heard) == 2


def test_a_telling_without_anyone_to_tell_cannot_be_tried_again(
    untold: DeadLetter, failing: Workflow
) -> None:
    failing.failure_function = None

    with pytest.raises(Refused):
        dead_letters.retry_failure_callback(untold)

    assert not Message.objects.exists()


def test_a_telling_that_is_under_way_can_be_stopped(
    failing: Workflow, listener: Listener, clock: Clock
) -> None:
    listener.errors = [OSError()]
    failing.trigger(workflow_run_id="order-7")
    drain_here()
    letter = letter_of(only_run())
    dead_letters.cancel_failure_callback(letter)

    letter.refresh_from_db()
    assert letter.callback_state == State.CANCELED
    clock.advance("1h")
    assert drain_here() == 0
    with pytest.raises(Refused) as refusal:
        dead_letters.cancel_failure_callback(letter)
    assert refusal.value.message == "run order-7 has no failure callback under way to cancel"


@pytest.mark.parametrize("verb", ["resume", "restart", "delete"])
def test_a_run_that_is_dealt_with_is_told_of_no_more(
    verb: str, failing: Workflow, listener: Listener, clock: Clock
) -> None:
    listener.errors = [OSError()]
    failing.trigger()
    drain_here()
    letter = letter_of(only_run())
    if verb == "delete":
        dead_letters.delete(DeadLetter.objects.filter(pk=letter.pk))
    else:
        getattr(dead_letters, verb)(letter)
    listener.heard.clear()

    assert not Message.objects.filter(kind="failure").exists()


def test_the_world_is_not_asked_about_what_is_local(
    failing: Workflow, listener: Listener, world: World
) -> None:
    failing.trigger()
    drain_here()

    assert len(listener.heard) == 1
    assert world.sent == []
