"""How long one attempt of a step may take, by both shells alike. These timeouts are real ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished
from workflows_app import AsyncContext, Context, workflow

SHORT = timedelta(milliseconds=20)
LONG = timedelta(seconds=20)


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What a step waits for in vain; set when the test has ended, so that no thread is left."""
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


def test_a_step_that_takes_too_long_fails(rehearse: Rehearse, stuck: threading.Event) -> None:
    async def story(context: Any) -> Any:
        await context.run("dig", stuck.wait)

    rehearsal = rehearse(story, timeout=SHORT)

    assert_failed(
        rehearsal.turn(),
        "StepError",
        'step "dig" failed after 1 attempt: StepTimeout: step "dig" did not finish within its '
        "timeout of 0.02s",
    )


def test_a_step_that_took_too_long_is_tried_again(
    rehearse: Rehearse, stuck: threading.Event
) -> None:
    attempts = []

    async def story(context: Any) -> Any:
        def dig() -> int:
            attempts.append(context.attempt)
            if context.attempt == 1:
                stuck.wait()
            return int(context.attempt)

        return await context.run("dig", dig)

    rehearsal = rehearse(story, retries=1, retry_delay="1000", timeout=SHORT)

    assert rehearsal.play() == finished(2)
    assert attempts == [1, 2]


def test_what_a_step_returns_after_its_timeout_is_dropped(
    rehearse: Rehearse, stuck: threading.Event
) -> None:
    late = threading.Event()

    async def story(context: Any) -> Any:
        def dig() -> str:
            stuck.wait()
            late.set()
            return "gold"

        await context.run("dig", dig)

    rehearsal = rehearse(story, timeout=SHORT)
    outcome = rehearsal.turn()
    stuck.set()

    assert late.wait(5)
    assert_failed(
        outcome,
        "StepError",
        'step "dig" failed after 1 attempt: StepTimeout: step "dig" did not finish within its '
        "timeout of 0.02s",
    )
    assert rehearsal.recorded == {"dig": None}


def test_a_step_may_have_a_timeout_of_its_own(rehearse: Rehearse, stuck: threading.Event) -> None:
    async def story(context: Any) -> Any:
        await context.options(timeout="0.02s").run("dig", stuck.wait)

    assert_failed(
        rehearse(story, timeout=LONG).turn(),
        "StepError",
        'step "dig" failed after 1 attempt: StepTimeout: step "dig" did not finish within its '
        "timeout of 0.02s",
    )


@pytest.mark.parametrize("error", [TimeoutError("the peer is slow"), ValueError("no number")])
def test_an_error_of_the_step_itself_is_not_taken_for_its_timeout(
    error: Exception, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        def ask() -> None:
            raise error

        await context.run("ask", ask)

    assert_failed(
        rehearse(story, timeout=LONG).turn(),
        "StepError",
        f'step "ask" failed after 1 attempt: {type(error).__name__}: {error}',
    )


@pytest.mark.parametrize("timeout", [LONG, timedelta.max], ids=["long", "as long as can be"])
def test_a_step_within_its_timeout_is_like_any_other(
    timeout: timedelta, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        return await context.run("dig", lambda: (context.attempt, "gold"))

    rehearsal = rehearse(story, timeout=timeout)

    assert rehearsal.play() == finished([1, "gold"])


def test_the_thread_of_a_step_says_when_it_ends(rehearse: Rehearse) -> None:
    """So that it can close the database connections it has opened."""

    async def story(context: Any) -> Any:
        await context.run("dig", lambda: None)

    rehearsal = rehearse(story, timeout=LONG)
    rehearsal.play()

    assert rehearsal.thread_ends == 1


def test_a_step_has_as_long_as_it_likes_where_it_may_have_no_thread(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    thread = []

    @workflow("story")
    def story(context: Context) -> None:
        context.run("dig", lambda: thread.append(threading.get_ident()))

    rehearsal = rehearse_workflow(story, timeout=timedelta())
    rehearsal.threads = False

    assert rehearsal.play() == finished(None)
    assert thread == [threading.get_ident()]


def test_an_atomic_step_is_never_cut_short(rehearse: Rehearse) -> None:
    """It cannot be: its transaction is in the run's own thread."""

    async def story(context: Any) -> Any:
        return await context.atomic("dig", lambda: "gold")

    assert rehearse(story, timeout=timedelta()).play() == finished("gold")


# -- functions that are async themselves


def test_an_async_function_is_cancelled_when_it_takes_too_long(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    ends = []

    async def dig() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    @workflow("story")
    async def story(context: AsyncContext) -> None:
        await context.run("dig", dig)

    assert_failed(
        rehearse_workflow(story, timeout=SHORT).turn(),
        "StepError",
        'step "dig" failed after 1 attempt: StepTimeout: step "dig" did not finish within its '
        "timeout of 0.02s",
    )
    assert ends == ["cancelled"]


def test_a_timeout_within_an_async_function_is_its_own_error(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    async def dig() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    @workflow("story")
    async def story(context: AsyncContext) -> None:
        await context.run("dig", dig)

    assert_failed(
        rehearse_workflow(story, timeout=LONG).turn(),
        "StepError",
        'step "dig" failed after 1 attempt: TimeoutError: ',
    )
