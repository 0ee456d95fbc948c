"""The lines of the logging middleware, by both shells alike."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.shells import Define
from workflows_app import logging_middleware

LOGGER = "workflows_app.runs"


def test_a_run_is_logged_line_by_line(
    define: Define, rehearse_workflow: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    failures = [ValueError("no"), None]

    def work() -> str:
        if error := failures.pop(0):
            raise error
        return "the secret"

    @define("big story", middlewares=[logging_middleware])
    async def story(context: Any) -> Any:
        return await context.run("work", work)

    rehearse_workflow(story, retries=1, retry_delay="1000").play()

    run = 'run=wfr_1 workflow="big story"'
    assert [(each.levelname, each.message) for each in caplog.records if each.name == LOGGER] == [
        ("INFO", f"run started: {run}"),
        ("DEBUG", f"step started: {run} step=work attempt=1"),
        (
            "WARNING",
            f"error: {run} step=work attempt=1 error=ValueError retry_at=2030-01-02T12:00:01+00:00",
        ),
        ("INFO", f"the run waits until 2030-01-02T12:00:01+00:00 at the latest: {run}"),
        ("DEBUG", f"step started: {run} step=work attempt=2"),
        ("INFO", f"step finished: {run} step=work attempt=2 ms=0.0"),
        ("INFO", f"run completed: {run}"),
    ]
    assert "the secret" not in caplog.text


def test_a_line_has_its_parts_as_fields(
    define: Define, rehearse_workflow: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)

    @define(middlewares=[logging_middleware])
    async def story(context: Any) -> Any:
        await context.sleep("nap", "1h")

    rehearse_workflow(story).play()

    (finished,) = (each for each in caplog.records if each.message.startswith("step finished"))
    fields = {name: vars(finished)[name] for name in ("run", "workflow", "step", "attempt", "ms")}
    assert fields == {
        "run": "wfr_1",
        "workflow": "story",
        "step": "nap",
        "attempt": 1,
        "ms": 3_600_000.0,
    }


def test_a_failing_run_is_an_error_without_the_words_of_the_exception(
    define: Define, rehearse_workflow: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, LOGGER)

    @define(middlewares=[logging_middleware])
    async def story(context: Any) -> Any:
        raise ValueError("the secret")

    rehearse_workflow(story).turn()

    assert [(each.levelname, each.message) for each in caplog.records if each.name == LOGGER] == [
        ("ERROR", "error: run=wfr_1 workflow=story attempt=1 error=ValueError"),
    ]


def test_what_a_name_holds_stays_on_its_line(
    define: Define, rehearse_workflow: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)

    @define(middlewares=[logging_middleware])
    async def story(context: Any) -> Any:
        await context.run("a=\nb", lambda: 1)

    rehearse_workflow(story).turn()

    assert 'step="a=\\nb" attempt=1' in caplog.text
