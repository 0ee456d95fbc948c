"""What is owed at the moment, and what may be in the way of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.conftest import Clock
from workflows_app import Context, FlowControlSpec, Workflow, workflow
from workflows_app.engine import backlog, leases, pausing
from workflows_app.engine.backlog import Backlog
from workflows_app.models import Run


@pytest.fixture
def story(registry: dict[str, Workflow], clock: Clock, db: None) -> Workflow:
    @workflow("story")
    def story(context: Context) -> None: ...

    return story


def stuck() -> list[str]:
    return [run.run_id for run in backlog.stuck(Run.objects.order_by("pk"))]


def test_what_is_due_is_told_from_what_flow_control_holds_back(story: Workflow, clock: Clock):
    story.trigger()
    story.trigger(flow_control=FlowControlSpec(key="slow", parallelism=1))
    story.trigger(delay="1h")
    clock.advance("30s")

    assert backlog.backlog() == Backlog(free=1, limited=1, oldest=timedelta(seconds=30))


def test_what_is_being_delivered_is_not_due(story: Workflow):
    story.trigger()
    leases.claim(1)

    assert backlog.backlog() == Backlog(free=0, limited=0, oldest=timedelta())


def test_a_run_whose_work_nobody_takes_is_stuck_after_a_while(story: Workflow, clock: Clock):
    story.trigger(workflow_run_id="free")
    limit = FlowControlSpec(key="slow", parallelism=1)
    story.trigger(workflow_run_id="limited", flow_control=limit)
    story.trigger(workflow_run_id="paused")
    pausing.pause(Run.objects.get(run_id="paused"))

    clock.advance("59s")
    assert stuck() == []

    clock.advance("1s")
    assert stuck() == ["free"]


def test_a_run_that_one_worker_after_the_other_loses_is_stuck(story: Workflow, clock: Clock):
    story.trigger(workflow_run_id="deadly")
    for _ in range(backlog.LAPSES):
        leases.claim(1)
        assert stuck() == []
        clock.advance("16s")

    leases.claim(1)

    assert stuck() == ["deadly"]
