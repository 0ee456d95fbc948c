"""An import that can fail in several ways."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from examples.nightly_import import nightly_import
from workflows_app.testing import WorkflowTest


def test_a_feed_is_imported_and_searchable(workflows: WorkflowTest):
    run = workflows.start(nightly_import, {"feed": "teapots"})

    assert run.result == {"products": 2, "searchable": True}


def test_a_busy_feed_is_read_again_when_it_says(workflows: WorkflowTest):
    run = workflows.start(nightly_import, {"feed": "busy"})

    (attempt,) = run.failed_attempts
    assert attempt.retry_at == workflows.now + timedelta(minutes=5)


def test_a_search_index_that_stays_away_does_not_undo_the_import(workflows: WorkflowTest):
    workflows.fail_step("refresh-search-index", times=6, error=ConnectionError("away"))

    run = workflows.start(nightly_import, {"feed": "teapots"})
    began = workflows.now
    workflows.advance_to_end(run)

    assert run.result == {"products": 2, "searchable": False}
    assert workflows.now - began == timedelta(minutes=1 + 2 + 4 + 8 + 16)


@pytest.mark.parametrize(
    ("feed", "attempts", "error"),
    [("teacups", 1, "WorkflowNonRetryableError"), ("damaged", 3, "ValueError")],
    ids=["never-mends", "may-mend"],
)
def test_operators_are_told_once_the_import_has_failed(
    workflows: WorkflowTest,
    caplog: pytest.LogCaptureFixture,
    feed: str,
    attempts: int,
    error: str,
):
    caplog.set_level(logging.INFO, "examples.mail")

    run = workflows.start(nightly_import, {"feed": feed})
    workflows.advance_to_end(run)

    assert run.status == "failed"
    run.assert_step(run.steps[-1].name, attempts=attempts, error=error)
    (mail,) = [record.getMessage() for record in caplog.records if record.name == "examples.mail"]
    assert mail.startswith(f"mail to operators@example.org: import of {feed} failed: step")
