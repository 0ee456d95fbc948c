"""Fixtures of the tests of the SDK, which need no database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.rehearsal import Rehearsal, run_of
from tests.shells import Define, Shell, Story, define, registry, shell
from workflows_app import Workflow

__all__ = ["Shell", "define", "registry", "shell"]

Rehearse = Callable[..., Rehearsal]


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
