"""Fixtures of the tests of the SDK, which need no database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.rehearsal import Rehearsal, run_of
from tests.shells import ClassStory, Define, Shell, Story, class_for, define, registry, shell
from workflows_app import Workflow

__all__ = ["Shell", "define", "registry", "shell"]

Rehearse = Callable[..., Rehearsal]
RehearseClass = Callable[..., Rehearsal]


@pytest.fixture
def rehearse_workflow(clock: Clock) -> Rehearse:
    """A run of a workflow; keywords are fields of its `RunInfo`."""

    def rehearse_workflow(workflow: Workflow, **run: Any) -> Rehearsal:
        return Rehearsal(workflow, clock, run_of(workflow, **run))

    return rehearse_workflow


@pytest.fixture
def rehearse(define: Define, rehearse_workflow: Rehearse) -> Rehearse:
    """A run of a story, by each of the shells; keywords are fields of its `RunInfo`."""

    def rehearse(story: Story, **run: Any) -> Rehearsal:
        return rehearse_workflow(define()(story), **run)

    return rehearse


@pytest.fixture
def rehearse_class(
    shell: Shell, registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> RehearseClass:
    """The same of a story that is the `run` of a class; `options` are those of the class."""

    def rehearse_class(story: ClassStory, options: Any = None, **run: Any) -> Rehearsal:
        made = class_for(shell, story, "story", **(options or {}))
        policy = {name: value for name, value in made.policy.items() if value is not None}
        return rehearse_workflow(made, **{**policy, **run})

    return rehearse_class
