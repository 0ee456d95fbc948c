"""Delays before retries that an author's function gives."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from workflows_app.errors import InvalidDuration, NonRetryableDelayError
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.protocol.worded_durations import worded_duration
from workflows_app.sdk.steps import Ask, Delay, delay_before_retry

SECONDS = 5.0
"""How long the function may take."""


def with_asked_delay(
    ask: Ask, error: Exception, thread_ends: Callable[[], None]
) -> tuple[Ask, Exception]:
    """The step with the delay that its function gives after this failure; where the function is
    broken, with its failure instead. Blocks.
    """
    if ask.delay is None or not isinstance(ask.policy, StepPolicy):
        return ask, error
    if delay_before_retry(ask.policy, ask.attempt, error) is None:
        return ask, error
    try:
        delay = worded_duration(_call_within_limit(ask.delay, ask, error, thread_ends))
    except NonRetryableDelayError as broken:
        return ask, broken
    except InvalidDuration as wrong:
        return ask, _broken(ask, str(wrong))
    return replace(ask, policy=replace(ask.policy, delay=delay)), error


def _call_within_limit(
    function: Delay, ask: Ask, error: Exception, thread_ends: Callable[[], None]
) -> Any:
    answers: list[Any] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(asyncio.run(_call(function, ask, error)))
        except BaseException as wrong:  # noqa: BLE001 - told to whoever waits
            raised.append(wrong)
        finally:
            thread_ends()

    thread = threading.Thread(target=work, name=f"delay-{ask.key}", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if raised:
        said = f"it raised {type(raised[0]).__name__}: {raised[0]}"
        raise _broken(ask, said) from raised[0]
    if not answers:
        raise _broken(ask, f"it took longer than {timedelta(seconds=SECONDS)}")
    return answers[0]


async def _call(function: Delay, ask: Ask, error: Exception) -> Any:
    delay = function(ask, error)
    return await delay if inspect.isawaitable(delay) else delay


def _broken(ask: Ask, why: str) -> NonRetryableDelayError:
    return NonRetryableDelayError(f'the delay function of step "{ask.name}" is broken: {why}')
