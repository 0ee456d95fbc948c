"""Fixtures of the tests of the testing kit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.shells import define, registry, shell
from workflows_app.testing import WorkflowTest

__all__ = ["define", "registry", "shell"]


@pytest.fixture
def flows(db: None) -> Iterator[WorkflowTest]:
    """As the plugin's fixture `workflows`, by which authors get it."""
    with WorkflowTest() as flows:
        yield flows
