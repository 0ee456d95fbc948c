"""Sensitive steps, by both shells alike: what they return is kept, and shown to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished, loaded
from workflows_app import StepError
from workflows_app.protocol.runs import Failed

SECRET = "hunter2"


def decline(secret: str) -> None:
    raise ConnectionError(f"{secret} has expired")


@pytest.mark.parametrize("verb", ["run", "atomic"])
def test_the_result_of_a_sensitive_step_is_what_a_replay_returns(
    rehearse: Rehearse, verb: str
) -> None:
    async def story(context: Any) -> Any:
        secretive = context.options(sensitive=True)
        token = await getattr(secretive, verb)("token", str.upper, SECRET)
        return token == SECRET.upper()

    rehearsal = rehearse(story)

    assert rehearsal.turn() == finished(True)
    assert rehearsal.turn() == finished(True)
    (step,) = rehearsal.journal.steps
    assert (step.sensitive, step.input, loaded(step.result)) == (True, None, SECRET.upper())


@pytest.mark.parametrize("verb", ["run", "atomic"])
def test_what_a_sensitive_step_raises_is_recorded_without_what_it_says(
    rehearse: Rehearse, verb: str
) -> None:
    async def story(context: Any) -> Any:
        secretive = context.options(sensitive=True)
        await getattr(secretive, verb)("pay", decline, SECRET)

    rehearsal = rehearse(story, retries=1, retry_delay="0")
    outcome = rehearsal.play()

    assert_failed(
        outcome, "StepError", 'step "pay" failed after 2 attempts: ConnectionError: [REDACTED]'
    )
    assert isinstance(outcome, Failed)
    stored = [
        outcome.error,
        *(step.error or "" for step in rehearsal.journal.steps),
        *(attempt.error for attempt in rehearsal.journal.attempts),
    ]
    assert len(stored) == 4
    assert [SECRET in text for text in stored] == [False] * 4
    stack = loaded(stored[1])["stack"]
    assert "in decline" in stack
    assert stack.endswith("ConnectionError: [REDACTED]\n")


def test_an_error_that_comes_of_a_sensitive_step_does_not_tell_what_it_said(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        try:
            await context.options(sensitive=True).run("pay", decline, SECRET)
        except StepError as error:
            assert error.error_message == "[REDACTED]"
            raise ValueError("the order cannot be paid") from error

    outcome = rehearse(story).play()

    assert_failed(outcome, "ValueError", "the order cannot be paid")
    assert isinstance(outcome, Failed)
    assert SECRET not in outcome.error


def test_a_sensitive_step_that_is_not_json_says_only_that(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.options(sensitive=True).run("token", lambda: {SECRET: {1}})

    outcome = rehearse(story).play()

    assert_failed(
        outcome, "StepError", 'step "token" failed after 1 attempt: NotSerializable: [REDACTED]'
    )


def test_a_step_called_on_options_that_say_so_is_sensitive_no_more(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        secretive = context.options(sensitive=True, retries=2)
        await secretive.options(sensitive=False).run("greet", str.upper, "hi")

    rehearsal = rehearse(story)
    rehearsal.play()

    (step,) = rehearsal.journal.steps
    assert (step.sensitive, step.input) == (False, '["hi"]')


@pytest.mark.parametrize(
    ("kind", "arguments", "options"),
    [
        ("sleep", ("pause", "1h"), {}),
        ("sleep_until", ("pause", 0), {}),
        ("call", ("pause",), {"url": "https://app.example"}),
        ("wait_for_event", ("pause", "paid"), {}),
        ("notify", ("pause", "paid"), {}),
        ("create_webhook", ("pause",), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_only_steps_that_call_a_function_can_be_sensitive(
    rehearse: Rehearse, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    async def story(context: Any) -> Any:
        await getattr(context.options(sensitive=True), kind)(*arguments, **options)

    outcome = rehearse(story).play()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert error["type"] == "StepMisuse"
    assert error["message"].startswith('step "pause" is a ')
    assert error["message"].endswith(
        ", and sensitive=True hides what a function returned: call it on a context without; what a "
        'whole run receives and sends is hidden by trigger(..., redact="body")'
    )
