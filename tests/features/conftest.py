"""Each feature is used in four ways: by plain and by async workflows, called in this process and
delivered to over http.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.shells import Define, Shell, Story, body_for, registry, shell
from workflows_app import Workflow, workflow
from workflows_app.testing import WorkflowTest

__all__ = ["registry", "shell"]


@pytest.fixture
def flows(db: None) -> Iterator[WorkflowTest]:
    with WorkflowTest() as flows:
        yield flows


@pytest.fixture(params=["local", "http"])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def define(shell: Shell, transport: Any, registry: dict[str, Workflow]) -> Define:
    """`@define("other", retries=1)` is `@workflow`, for a story in either shell."""

    def define(name: str = "story", **options: Any) -> Any:
        def made(story: Story) -> Workflow:
            return workflow(name, transport=transport, **options)(body_for(shell, story))

        return made

    return define
