"""What is tried again and when, by both shells alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Rehearsal, assert_failed, finished, loaded
from workflows_app import WorkflowNonRetryableError, WorkflowRetryAfterError
from workflows_app.protocol.runs import Suspended


class Flaky:
    """A step's function: raises each of `errors` in turn, then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return self.calls


def waits(rehearsal: Rehearsal) -> list[timedelta | None]:
    """How long each failed attempt was followed by nothing."""
    return [
        None if attempt.retry_at is None else attempt.retry_at - attempt.ended_at
        for attempt in rehearsal.journal.attempts
    ]


def test_a_step_that_fails_is_called_again_after_its_delay(
    rehearse: Rehearse, clock: Clock
) -> None:
    flaky = Flaky(ConnectionError("no route"))

    async def story(context: Any) -> Any:
        return await context.run("ship", flaky)

    rehearsal = rehearse(story, retries=1, retry_delay="30000")
    at = CREATED_AT + timedelta(seconds=30)

    assert rehearsal.turn() == Suspended(wake_at=at)
    clock.advance("29s")
    assert rehearsal.turn() == Suspended(wake_at=at)
    assert flaky.calls == 1
    clock.advance("1s")
    assert rehearsal.turn() == finished(2)
    assert rehearsal.journal.steps[0].attempts == 2


def test_a_step_in_which_something_was_cancelled_is_called_again(
    rehearse: Rehearse, clock: Clock
) -> None:
    flaky = Flaky(asyncio.CancelledError())

    async def story(context: Any) -> Any:
        return await context.run("ship", flaky)

    rehearsal = rehearse(story, retries=1, retry_delay="30000")
    rehearsal.turn()
    clock.advance("30s")

    assert rehearsal.turn() == finished(2)


def test_an_attempt_that_fails_is_recorded_with_its_error(rehearse: Rehearse, clock: Clock) -> None:
    async def story(context: Any) -> Any:
        await context.run("ship", Flaky(ConnectionError("no route")))

    rehearsal = rehearse(story, retries=1, retry_delay="30000")
    rehearsal.turn()

    (attempt,) = rehearsal.journal.attempts
    error = loaded(attempt.error)
    stack = error.pop("stack")
    assert error == {"type": "ConnectionError", "message": "no route"}
    assert stack.startswith("Traceback (most recent call last):\n")
    assert stack.endswith("ConnectionError: no route\n")
    assert (attempt.key, attempt.number) == ("ship", 1)
    assert (attempt.started_at, attempt.ended_at) == (clock.now, clock.now)
    assert attempt.retry_at == clock.now + timedelta(seconds=30)
    assert rehearsal.journal.steps == []


def test_without_a_delay_of_its_own_a_step_waits_longer_each_time(rehearse: Rehearse) -> None:
    flaky = Flaky(*[OSError()] * 7)

    async def story(context: Any) -> Any:
        return await context.run("ship", flaky)

    rehearsal = rehearse(story, retries=7)

    assert rehearsal.play() == finished(8)
    assert waits(rehearsal) == [
        timedelta(seconds=12),
        timedelta(seconds=148),
        timedelta(minutes=30, seconds=8),
        timedelta(hours=6, minutes=7, seconds=6),
        timedelta(days=1),
        timedelta(days=1),
        timedelta(days=1),
    ]


def test_a_delay_may_be_an_expression_over_the_retries_made(rehearse: Rehearse) -> None:
    flaky = Flaky(*[OSError()] * 4)

    async def story(context: Any) -> Any:
        return await context.run("ship", flaky)

    rehearsal = rehearse(story, retries=4, retry_delay="min(5000, pow(2, retried) * 1000)")
    rehearsal.play()

    assert waits(rehearsal) == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 5)]


def test_a_step_whose_retries_are_used_up_has_failed(rehearse: Rehearse) -> None:
    flaky = Flaky(*[OSError("down")] * 9)

    async def story(context: Any) -> Any:
        await context.run("ship", flaky)

    rehearsal = rehearse(story, retries=2, retry_delay="1000")

    assert_failed(
        rehearsal.play(), "StepError", 'step "ship" failed after 3 attempts: OSError: down'
    )
    assert flaky.calls == 3
    assert [attempt.number for attempt in rehearsal.journal.attempts] == [1, 2, 3]
    assert waits(rehearsal) == [timedelta(seconds=1), timedelta(seconds=1), None]
    (step,) = rehearsal.journal.steps
    assert (step.result, step.attempts) == (None, 3)
    assert step.error == rehearsal.journal.attempts[-1].error


def test_a_step_may_have_a_policy_of_its_own(rehearse: Rehearse) -> None:
    first, second, third = Flaky(OSError()), Flaky(OSError()), Flaky(OSError(), OSError())

    async def story(context: Any) -> Any:
        patient = context.options(retries=1, retry_delay="2000")
        await patient.run("own", first)
        await patient.options(retry_delay="3000").run("own delay", second)
        await context.run("of the run", third)

    rehearsal = rehearse(story, retries=2, retry_delay="5000")

    assert rehearsal.play() == finished(None)
    assert waits(rehearsal) == [timedelta(seconds=seconds) for seconds in (2, 3, 5, 5)]


def test_a_step_may_have_no_retries_in_a_run_that_has_some(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.options(retries=0).run("once", Flaky(OSError("down")))

    rehearsal = rehearse(story, retries=5)

    assert_failed(
        rehearsal.play(), "StepError", 'step "once" failed after 1 attempt: OSError: down'
    )


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (
            {"retries": -1},
            "InvalidInput",
            "retries is -1; it must be 0 (one attempt only) or more.",
        ),
        (
            {"timeout": 3},
            "InvalidDuration",
            '3 is a duration without a unit: write "3s" or timedelta(seconds=3).',
        ),
    ],
    ids=["retries", "timeout"],
)
def test_a_policy_that_cannot_be_used_fails_the_run_at_once(
    options: dict[str, Any], error: str, sentence: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await context.options(**options).run("never", lambda: 1)

    rehearsal = rehearse(story, retries=5)

    assert_failed(rehearsal.turn(), error, sentence)
    assert rehearsal.journal.steps == []


def test_a_delay_that_is_no_expression_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.options(retry_delay="soon").run("never", lambda: 1)

    assert_failed(
        rehearse(story, retries=5).turn(),
        "InvalidExpression",
        "The retry delay expression 'soon' has an unknown name \"soon\" at character 1. Allowed "
        "are numbers, + - * / ( ), the variable retried (0 for the first retry) and the functions "
        "pow(a, b), sqrt, abs, exp, floor, ceil, round, min and max; the result counts "
        "milliseconds.",
    )


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("90s", timedelta(seconds=90)),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (7, timedelta(seconds=7)),
        (0.5, timedelta(milliseconds=500)),
        (0, timedelta()),
    ],
    ids=str,
)
def test_a_step_may_say_when_it_is_to_be_called_again(
    retry_after: Any, wait: timedelta, rehearse: Rehearse
) -> None:
    busy = Flaky(WorkflowRetryAfterError("busy", retry_after))

    async def story(context: Any) -> Any:
        return await context.run("ask", busy)

    rehearsal = rehearse(story, retries=1, retry_delay="1000")

    assert rehearsal.play() == finished(2)
    assert waits(rehearsal) == [wait]


def test_saying_when_to_be_called_again_uses_up_a_retry(rehearse: Rehearse) -> None:
    busy = Flaky(*[WorkflowRetryAfterError("busy", "1h")] * 5)

    async def story(context: Any) -> Any:
        await context.run("ask", busy)

    rehearsal = rehearse(story, retries=1)

    assert_failed(
        rehearsal.play(),
        "StepError",
        'step "ask" failed after 2 attempts: WorkflowRetryAfterError: busy',
    )
    assert waits(rehearsal) == [timedelta(hours=1), None]


def test_a_time_that_cannot_be_used_fails_the_step(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("ask", Flaky(WorkflowRetryAfterError("busy", "later")))

    assert_failed(
        rehearse(story, retries=5).turn(),
        "StepError",
        "step \"ask\" failed after 1 attempt: InvalidDuration: 'later' is not a duration: write "
        'numbers with the units s, m, h, d, w, mo or y, such as "30s", "1h30m" or "1d", or a '
        "number of seconds.",
    )


def test_a_step_may_fail_at_once_whatever_the_retries(rehearse: Rehearse) -> None:
    flaky = Flaky(WorkflowNonRetryableError("card stolen"))

    async def story(context: Any) -> Any:
        await context.run("charge", flaky)

    rehearsal = rehearse(story, retries=5)

    assert_failed(
        rehearsal.turn(),
        "StepError",
        'step "charge" failed after 1 attempt: WorkflowNonRetryableError: card stolen',
    )
    assert flaky.calls == 1


def test_each_attempt_knows_its_number_and_all_share_one_idempotency_key(
    rehearse: Rehearse,
) -> None:
    saw = []

    async def story(context: Any) -> Any:
        def look() -> None:
            saw.append((context.attempt, context.idempotency_key))
            if context.attempt < 3:
                raise OSError

        await context.run("look", look)

    rehearse(story, retries=2, retry_delay="1000").play()

    assert saw == [(number, "wfr_1:1893585600000:look") for number in (1, 2, 3)]


# -- the function itself


def test_a_function_that_raises_between_its_steps_is_tried_again(rehearse: Rehearse) -> None:
    attempts, flaky, step = [], Flaky(ConnectionError("no route")), Flaky()

    async def story(context: Any) -> Any:
        attempts.append(context.attempt)
        done = await context.run("once", step)
        flaky()
        return done

    rehearsal = rehearse(story, retries=2, retry_delay="1000")

    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + timedelta(seconds=1))
    assert rehearsal.play() == finished(1)
    assert attempts == [1, 2]
    (attempt,) = rehearsal.journal.attempts
    assert (attempt.key, attempt.number) == ("", 1)
    assert loaded(attempt.error)["message"] == "no route"


def test_a_function_whose_retries_are_used_up_fails_the_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        raise ConnectionError("no route")

    rehearsal = rehearse(story, retries=2, retry_delay="1000")

    assert_failed(rehearsal.play(), "ConnectionError", "no route")
    assert rehearsal.turns == 3
    assert waits(rehearsal) == [timedelta(seconds=1), timedelta(seconds=1), None]


def test_a_function_may_say_when_it_is_to_be_called_again(rehearse: Rehearse) -> None:
    flaky = Flaky(WorkflowRetryAfterError("busy", "1h"))

    async def story(context: Any) -> Any:
        return flaky()

    rehearsal = rehearse(story, retries=1)

    assert rehearsal.play() == finished(2)
    assert waits(rehearsal) == [timedelta(hours=1)]


def test_a_function_may_fail_its_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        raise WorkflowNonRetryableError("nothing to do")

    rehearsal = rehearse(story, retries=5)

    assert_failed(rehearsal.turn(), "WorkflowNonRetryableError", "nothing to do")
    assert rehearsal.journal.attempts == []


def test_the_attempts_of_a_function_are_counted_apart_from_those_of_its_steps(
    rehearse: Rehearse,
) -> None:
    step, function = Flaky(OSError()), Flaky(OSError())

    async def story(context: Any) -> Any:
        await context.run("step", step)
        return function()

    rehearsal = rehearse(story, retries=1, retry_delay="1000")

    assert rehearsal.play() == finished(2)
    assert [(each.key, each.number) for each in rehearsal.journal.attempts] == [
        ("step", 1),
        ("", 1),
    ]
