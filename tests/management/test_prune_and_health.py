"""`workflows prune` and `workflows health`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.management.conftest import Define, Verb
from workflows_app.engine.drain import drain_here
from workflows_app.models import Message, Run, Step

pytestmark = pytest.mark.django_db

OR_OVER = ", or whose own retention is over"


@pytest.fixture(autouse=True)
def standing_clock(clock: Clock) -> Clock:
    return clock


@pytest.fixture
def runs(define: Define, clock: Clock) -> None:
    """One that ended 40 days ago, one that ended 20 days ago, and one that is alive."""

    @define("nap")
    async def nap(context):
        await context.run("undress", int, 0)
        await context.sleep("night", context.request_payload)

    nap.trigger("0s", workflow_run_id="long ago")
    nap.trigger("1000d", workflow_run_id="alive")
    drain_here()
    clock.advance("20d")
    nap.trigger("0s", workflow_run_id="of late")
    drain_here()
    clock.advance("20d")


def names() -> set[str]:
    return set(Run.objects.values_list("run_id", flat=True))


@pytest.mark.usefixtures("runs")
def test_pruning_deletes_what_ended_before_the_retention(workflows: Verb) -> None:
    said = workflows("prune")

    assert said.stdout == [f"deleted 1 run and 0 messages that ended more than 30d ago{OR_OVER}"]
    assert names() == {"of late", "alive"}
    assert set(Step.objects.values_list("run__run_id", flat=True)) == {"of late", "alive"}


@pytest.mark.usefixtures("runs")
def test_the_age_may_be_said(workflows: Verb) -> None:
    said = workflows("prune", "--older-than", "1w")

    assert said.stdout == [f"deleted 2 runs and 0 messages that ended more than 7d ago{OR_OVER}"]
    assert names() == {"alive"}


@pytest.mark.usefixtures("runs")
def test_a_dry_run_only_counts(workflows: Verb) -> None:
    said = workflows("prune", "--dry-run")

    assert said.stdout == [
        f"would delete 1 run and 0 messages that ended more than 30d ago{OR_OVER}"
    ]
    assert names() == {"long ago", "of late", "alive"}


@pytest.mark.usefixtures("runs")
def test_where_runs_are_kept_for_ever_those_go_that_say_otherwise_unless_an_age_is_said(
    workflows: Verb, settings: Settings
) -> None:
    settings.WORKFLOWS = {"RETENTION": None}

    assert workflows("prune").stdout == [
        "deleted 0 runs and 0 messages that had a retention of their own; all others are kept for "
        "ever here"
    ]
    assert workflows("prune", "--older-than", "30d").stdout == [
        f"deleted 1 run and 0 messages that ended more than 30d ago{OR_OVER}"
    ]


@pytest.fixture
def waiting(define: Define) -> None:
    """A run that no worker has taken."""

    @define("simple")
    async def simple(context):
        await context.run("only", int, 0)

    simple.trigger()


def test_a_site_with_nothing_to_do_is_healthy(workflows: Verb) -> None:
    assert workflows("health").stdout == ["nothing is due"]


@pytest.mark.usefixtures("waiting")
def test_work_may_wait_for_a_while(workflows: Verb, clock: Clock) -> None:
    clock.advance("60s")

    said = workflows("health")

    assert said.refusal is None
    assert said.stdout == ["the oldest due message has waited 1m"]


@pytest.mark.usefixtures("waiting")
def test_work_that_nobody_takes_is_an_illness(workflows: Verb, clock: Clock) -> None:
    clock.advance("61s")

    assert workflows("health").refusal == (
        "the oldest due message has waited 1m1s for a worker, more than 1m; are any running?"
    )
    assert workflows("health", "--max-lag", "2m").refusal is None
    assert workflows("health", "--max-lag", "30").refusal is not None


@pytest.mark.usefixtures("waiting")
def test_what_is_not_due_yet_does_not_wait(workflows: Verb, clock: Clock) -> None:
    Message.objects.update(due_at=clock.now + timedelta(days=1))

    assert workflows("health", "--max-lag", "0").stdout == ["nothing is due"]
