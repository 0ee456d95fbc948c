"""What a workflow function sees of a step that has failed, by both shells alike."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import assert_failed, finished, loaded
from workflows_app import StepError
from workflows_app.protocol.runs import Failed


def no_funds() -> None:
    raise ConnectionError("no funds")


def test_a_step_that_failed_raises_its_error_where_it_is_called(rehearse: Rehearse) -> None:
    caught = []

    async def story(context: Any) -> Any:
        try:
            await context.run("charge", no_funds)
        except StepError as error:
            caught.append(
                (
                    error.step,
                    error.key,
                    error.error_type,
                    error.error_message,
                    error.attempts,
                    error.code,
                    str(error),
                )
            )
            return await context.run("refund", lambda: "refunded")

    rehearsal = rehearse(story, retries=1, retry_delay="0")

    assert rehearsal.play() == finished("refunded")
    assert rehearsal.turn() == finished("refunded")
    assert (
        caught
        == [
            (
                "charge",
                "charge",
                "ConnectionError",
                "no funds",
                2,
                "step_failed",
                'step "charge" failed after 2 attempts: ConnectionError: no funds',
            )
        ]
        * 2
    )


def test_an_error_names_the_very_step_among_those_of_its_name(rehearse: Rehearse) -> None:
    keys = []

    async def story(context: Any) -> Any:
        async def branch() -> None:
            await context.run("charge", lambda: None)
            try:
                await context.run("charge", no_funds)
            except StepError as error:
                keys.append((error.step, error.key))

        await context.parallel(branch, branch)

    rehearse(story).play()

    assert sorted(keys) == [("charge", "charge@1#2"), ("charge", "charge@2#2")]


def test_a_step_error_that_nothing_handles_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("charge", no_funds)

    rehearsal = rehearse(story, retries=2, retry_delay="0")
    outcome = rehearsal.play()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    stack = error.pop("stack")
    assert error == {
        "type": "StepError",
        "cause": "ConnectionError",
        "message": 'step "charge" failed after 3 attempts: ConnectionError: no funds',
        "step": "charge",
        "key": "charge",
    }
    assert "ConnectionError: no funds\n\nThe above exception was the direct cause" in stack
    assert [attempt.key for attempt in rehearsal.journal.attempts] == ["charge"] * 3


def test_a_step_error_in_disguise_fails_the_run_at_once_and_still_names_the_step(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        try:
            await context.run("charge", no_funds)
        except StepError as error:
            raise RuntimeError("the order is void") from error

    rehearsal = rehearse(story, retries=2, retry_delay="0")
    outcome = rehearsal.play()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    del error["stack"]
    assert error == {
        "type": "RuntimeError",
        "message": "the order is void",
        "step": "charge",
        "key": "charge",
    }
    assert rehearsal.turns == 3, "each replay could only raise the same again"


def test_an_error_while_a_step_error_is_handled_fails_the_run_at_once(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        try:
            await context.run("charge", no_funds)
        except StepError:
            await context.run("note", lambda: None)
            raise KeyError("order") from None

    rehearsal = rehearse(story, retries=2, retry_delay="0")

    assert_failed(rehearsal.play(), "KeyError", "'order'")
    assert rehearsal.turns == 3


def test_a_failed_step_may_be_called_again_as_another_occurrence(rehearse: Rehearse) -> None:
    results = iter([OSError("1"), OSError("2"), "third time lucky"])

    def attempt() -> str:
        result = next(results)
        if isinstance(result, OSError):
            raise result
        return str(result)

    async def story(context: Any) -> Any:
        while True:
            try:
                return await context.run("ask", attempt)
            except StepError:
                await context.sleep("pause", "1h")

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("third time lucky")
    assert list(rehearsal.recorded) == ["ask", "pause", "ask#2", "pause#2", "ask#3"]
    assert rehearsal.turn() == finished("third time lucky")


@pytest.mark.parametrize("verb", ["run", "atomic"])
def test_finally_blocks_run_their_steps_when_a_step_has_failed(
    verb: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        try:
            await getattr(context, verb)("charge", no_funds)
        finally:
            await context.run("tidy", lambda: None)

    rehearsal = rehearse(story)

    assert_failed(
        rehearsal.play(),
        "StepError",
        'step "charge" failed after 1 attempt: ConnectionError: no funds',
    )
    assert list(rehearsal.recorded) == ["charge", "tidy"]


@pytest.mark.parametrize("verb", ["run", "atomic"])
@pytest.mark.parametrize("timeout", [None, timedelta(seconds=20)], ids=str)
def test_a_step_that_exits_fails_and_does_not_end_the_worker(
    verb: str, timeout: timedelta | None, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await getattr(context, verb)("migrate", sys.exit, 3)

    rehearsal = rehearse(story, timeout=timeout)

    assert_failed(
        rehearsal.play(),
        "StepError",
        'step "migrate" failed after 1 attempt: RuntimeError: sys.exit(3) was called',
    )


def test_a_function_that_exits_fails_and_does_not_end_the_worker(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        sys.exit("no config")

    assert_failed(rehearse(story).play(), "RuntimeError", "sys.exit('no config') was called")


@pytest.mark.parametrize("verb", ["run", "atomic"])
@pytest.mark.parametrize("threads", ["threads", "no threads"])
def test_a_step_that_raises_what_ends_iterations_fails_as_any_other(
    verb: str, threads: str, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        await getattr(context, verb)("first", lambda: next(iter([])))

    rehearsal = rehearse(story)
    rehearsal.threads = threads == "threads"

    assert_failed(
        rehearsal.play(),
        "StepError",
        'step "first" failed after 1 attempt: RuntimeError: StopIteration was raised',
    )
