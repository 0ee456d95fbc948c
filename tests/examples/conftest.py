"""The kit, twice: every example is also replayed after each of its steps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workflows_app.testing import WorkflowTest


@pytest.fixture(params=["straight", "replayed"])
def workflows(db: None, request: pytest.FixtureRequest) -> Iterator[WorkflowTest]:
    """As the fixture of the plugin, by which authors get it."""
    with WorkflowTest() as workflows:
        if request.param == "replayed":
            workflows.always_replay()
        yield workflows
