"""How control leaves a workflow function that has to wait or is cancelled, whatever it catches."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, finished
from workflows_app.protocol.durations import parse_duration
from workflows_app.protocol.runs import Canceled, Suspended

IN_AN_HOUR = CREATED_AT + parse_duration("1h")


async def nap(context: Any) -> None:
    await context.sleep("nap", "1h")


async def ask(context: Any) -> None:
    await context.call("ask", url="https://peer.example")


async def fail(context: Any) -> None:
    def attempt() -> None:
        raise OSError

    await context.run("fail", attempt)


@pytest.mark.parametrize("wait", [nap, ask, fail])
def test_except_exception_lets_a_wait_through(wait: Any, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        try:
            await wait(context)
        except Exception:  # noqa: BLE001 - what this is about
            return "handled"

    rehearsal = rehearse(story, retries=1, retry_delay="3600000")

    assert isinstance(rehearsal.turn(), Suspended)


@pytest.mark.parametrize("wait", [nap, ask, fail])
def test_a_wait_that_is_swallowed_waits_all_the_same(wait: Any, rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        with suppress(BaseException):
            await wait(context)
        return "swallowed"

    rehearsal = rehearse(story, retries=1, retry_delay="3600000")

    assert isinstance(rehearsal.turn(), Suspended)


def test_no_step_runs_after_a_wait_that_was_swallowed(rehearse: Rehearse) -> None:
    called: list[int] = []

    async def story(context: Any) -> Any:
        with suppress(BaseException):
            await nap(context)
        await context.run("after", called.append, 1)
        return "rested"

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Suspended(wake_at=IN_AN_HOUR)
    assert called == []
    assert rehearsal.play() == finished("rested")
    assert called == [1]


def test_a_finally_block_runs_its_steps_only_once_the_wait_is_over(rehearse: Rehearse) -> None:
    called: list[int] = []

    async def story(context: Any) -> Any:
        try:
            await nap(context)
        finally:
            await context.run("tidy", called.append, 1)

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Suspended(wake_at=IN_AN_HOUR)
    assert called == []
    assert rehearsal.play() == finished(None)
    assert called == [1]


def test_a_branch_that_swallows_a_wait_waits_all_the_same(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def branch() -> str:
            with suppress(BaseException):
                await nap(context)
            return "swallowed"

        async def other() -> str:
            return str(await context.run("other", lambda: "done"))

        return await context.parallel(branch, other)

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Suspended(wake_at=IN_AN_HOUR)
    assert rehearsal.play() == finished(["swallowed", "done"])


# -- cancelling


def test_a_run_can_cancel_itself(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("before", lambda: None)
        await context.cancel()
        await context.run("after", lambda: None)

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Canceled()
    assert list(rehearsal.recorded) == ["before"]


def test_a_cancellation_that_is_swallowed_cancels_all_the_same(rehearse: Rehearse) -> None:
    called: list[int] = []

    async def story(context: Any) -> Any:
        with suppress(BaseException):
            await context.cancel()
        with suppress(BaseException):
            await context.run("after", called.append, 1)
        return "swallowed"

    rehearsal = rehearse(story)

    assert rehearsal.turn() == Canceled()
    assert called == []
    assert rehearsal.journal.steps == []


def test_a_branch_can_cancel_the_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.parallel(lambda: nap(context), context.cancel)

    assert rehearse(story).turn() == Canceled()


def test_cancelling_wins_over_an_error_in_another_branch(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def broken() -> None:
            await context.run("fine", lambda: None)
            raise ValueError

        try:
            await context.parallel(context.cancel, broken)
        except ValueError:
            return "handled"

    assert rehearse(story, retries=0).turn() == Canceled()
