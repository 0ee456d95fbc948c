"""How an author says what retries wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, assert_failed
from workflows_app import workflow
from workflows_app.errors import InvalidDuration, InvalidExpression, InvalidInput
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.delays import delay_expression
from workflows_app.sdk.authoring import Workflow


def delays(**said: Any) -> list[timedelta | None]:
    """What the first four retries wait."""
    policy = RetryPolicy(retries=4, delay_expression=delay_expression(**said) or "")
    return [policy.delay_after(failures) for failures in range(1, 5)]


def seconds(*numbers: float) -> list[timedelta]:
    return [timedelta(seconds=number) for number in numbers]


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ({"delay": "10s"}, seconds(10, 10, 10, 10)),
        ({"delay": timedelta(seconds=10)}, seconds(10, 10, 10, 10)),
        ({"delay": "1m30s", "backoff": "constant"}, seconds(90, 90, 90, 90)),
        ({"delay": "10s", "backoff": "linear"}, seconds(10, 20, 30, 40)),
        ({"delay": "10s", "backoff": "exponential"}, seconds(10, 20, 40, 80)),
        ({"delay": "0.0005s", "backoff": "exponential"}, seconds(0.0005, 0.001, 0.002, 0.004)),
        ({"delay": "0s", "backoff": "exponential"}, seconds(0, 0, 0, 0)),
        ({"delay": "12h", "backoff": "exponential"}, seconds(43_200, 86_400, 86_400, 86_400)),
        ({"delay": "1000"}, seconds(1, 1, 1, 1)),
        ({"delay": "1000 * retried"}, seconds(0, 1, 2, 3)),
        ({"delay": "pow(2, retried) * 1000"}, seconds(1, 2, 4, 8)),
    ],
    ids=str,
)
def test_a_delay_is_a_duration_that_may_grow_or_an_expression(
    said: dict[str, Any], waited: list[timedelta]
) -> None:
    assert delays(**said) == waited


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            {"delay": "1000", "backoff": "linear"},
            InvalidInput,
            'backoff="linear" says how retry_delay grows, and "1000" is an expression: give the '
            'first delay as a duration, such as retry_delay="10s", or leave backoff out',
        ),
        (
            {"delay": None, "backoff": "exponential"},
            InvalidInput,
            'backoff="exponential" says how retry_delay grows, and there is none: give the first '
            'delay as a duration, such as retry_delay="10s", or leave backoff out',
        ),
        (
            {"delay": "10s", "backoff": "quadratic"},
            InvalidInput,
            'backoff is "constant", "linear" or "exponential", not \'quadratic\'',
        ),
        (
            {"delay": timedelta(days=2)},
            InvalidInput,
            "a retry waits for a day at most; retry_delay is 2 days, 0:00:00",
        ),
        ({"delay": "10sec"}, InvalidDuration, "'10sec' is not a duration"),
        ({"delay": 5}, InvalidDuration, "5 is a duration without a unit"),
        ({"delay": "soon"}, InvalidExpression, "Allowed are numbers"),
    ],
    ids=["expression", "nothing", "backoff", "too long", "unit", "number", "text"],
)
def test_a_delay_that_means_nothing_is_refused(
    said: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refusal:
        delay_expression(**said)

    assert message in str(refusal.value)


def waits(rehearsal: Rehearsal) -> list[timedelta]:
    attempts = rehearsal.journal.attempts
    return [each.retry_at - each.ended_at for each in attempts if each.retry_at is not None]


def fail() -> None:
    raise ConnectionError("no route")


def test_the_retries_of_a_step_back_off(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        patient = context.options(retries=3, retry_delay="10s", backoff="exponential")
        await patient.run("ship", fail)

    rehearsal = rehearse(story)
    rehearsal.play()

    assert waits(rehearsal) == seconds(10, 20, 40)


def test_options_that_follow_others_change_only_what_they_say(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        patient = context.options(retries=2, retry_delay="10s")
        await patient.options(backoff="linear").options(timeout="1m").run("ship", fail)

    rehearsal = rehearse(story)
    rehearsal.play()

    assert waits(rehearsal) == seconds(10, 20)


def test_a_backoff_without_a_delay_fails_the_run_with_what_to_do(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.options(backoff="linear").run("ship", fail)

    assert_failed(
        rehearse(story).play(),
        "InvalidInput",
        'backoff="linear" says how retry_delay grows, and there is none: give the first delay as a '
        'duration, such as retry_delay="10s", or leave backoff out',
    )


def test_the_retries_of_a_workflow_back_off(registry: dict[str, Workflow]) -> None:
    @workflow("patient", retry_delay="1m", backoff="linear")
    def patient(context: Any) -> None: ...

    assert patient.retry_delay == "60000 * (retried + 1)"
