"""The policy of a step is kept with it where it is not that of the run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from workflows_app.sdk.replay import Extent


def fail() -> None:
    raise LookupError("sold out")


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({}, None),
        ({"rollback": print}, None),
        (
            {"retries": 1, "retry_delay": "10s", "backoff": "linear", "timeout": "1m"},
            '{"retries":{"limit":1,"delay":10000,"backoff":"linear"},"timeout":60000}',
        ),
        (
            {"timeout": "1m"},
            '{"retries":{"limit":0,"delay":500,"backoff":"constant"},"timeout":60000}',
        ),
        (
            {"retry_delay": "1000 + retried"},
            '{"retries":{"limit":0,"delay":"[dynamic]","backoff":"constant"}}',
        ),
    ],
    ids=["the run's", "no policy", "its own", "in part", "an expression"],
)
def test_it_is_kept_with_the_step_and_each_failed_attempt(
    options: dict[str, Any], stored: str | None, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> None:
        await context.options(**options).run("give", str)
        await context.options(**options).run("fail", fail)

    rehearsal = rehearse(story, retry_delay="500")
    rehearsal.play()

    journal = rehearsal.journal
    assert {step.config for step in journal.steps} == {stored}
    assert {attempt.config for attempt in journal.attempts} == {stored}


def test_steps_are_undone_in_the_order_of_their_first_attempts(rehearse: Rehearse) -> None:
    """A step that is retried began before the one beside it that succeeds at once."""
    undone: list[str] = []
    tried: list[str] = []

    def try_twice() -> None:
        tried.append("first")
        if len(tried) == 1:
            raise ConnectionError("busy")

    async def story(context: Any) -> None:
        undoable = context.options(
            retries=1, retry_delay="1s", rollback=lambda undo: undone.append(undo.step)
        )

        async def first() -> None:
            await undoable.run("first", try_twice)

        async def second() -> None:
            await context.sleep("later", "0.5s")
            await undoable.run("second", str)

        await context.parallel(first, second)
        await context.run("fail", fail)

    rehearse(story).play(Extent.TO_THE_NEXT_WAIT)

    assert undone == ["second", "first"]
