"""The kit, in three ways: as it comes, with a replay after each step, and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from workflows_app.testing import WorkflowTest


@pytest.fixture(params=["straight", "replayed", "http"])
def workflows(
    db: None, settings: Settings, request: pytest.FixtureRequest
) -> Iterator[WorkflowTest]:
    """As the fixture of the plugin, by which authors get it."""
    if request.param == "http":
        settings.WORKFLOWS = {"TRANSPORT": "http"}
    with WorkflowTest() as workflows:
        if request.param == "replayed":
            workflows.always_replay()
        yield workflows
