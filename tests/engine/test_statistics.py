"""How runs have fared of late."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.conftest import Clock
from workflows_app.engine import statistics
from workflows_app.models import Account, Run

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def at_noon(clock: Clock, db: None) -> Clock:
    return clock


def make_runs(clock: Clock, number: int, *, took: str = "", **values: object) -> None:
    """They start now; those that are to fail or succeed end after the seconds named."""
    account = Account.objects.default()
    if values.get("status", Run.Status.RUNNING) != Run.Status.RUNNING:
        values["ended_at"] = clock.now + timedelta(seconds=float(took or 1))
    common = {"account": account, "retries": 0, "created_at": clock.now, "workflow": "order"}
    Run.objects.bulk_create(Run(**(common | values)) for _ in range(number))


def test_runs_are_counted_by_the_hour_of_their_start_and_their_state_now(clock: Clock):
    make_runs(clock, 2, status=Run.Status.SUCCEEDED)
    clock.advance("1h")
    make_runs(clock, 1, status=Run.Status.FAILED)
    make_runs(clock, 3)
    clock.advance("1m")

    trend = statistics.trend(clock.now, 2, HOUR)

    assert [dict(part.runs) for part in trend.parts] == [
        {"succeeded": 2},
        {"failed": 1, "running": 3},
    ]
    assert not trend.is_estimate


def test_the_times_are_those_of_runs_that_succeeded(clock: Clock):
    for seconds in range(1, 101):
        make_runs(clock, 1, took=str(seconds), status=Run.Status.SUCCEEDED)
    make_runs(clock, 25, took="1000", status=Run.Status.FAILED)

    (pace,) = statistics.trend(clock.now, 24, HOUR).paces

    assert (pace.within(0.5), pace.within(0.95)) == (
        timedelta(seconds=51),
        timedelta(seconds=96),
    )
    assert pace.failure_rate == 0.2


def test_what_has_not_ended_has_no_rate_and_no_time(clock: Clock):
    make_runs(clock, 1)

    (pace,) = statistics.trend(clock.now, 24, HOUR).paces

    assert (pace.started, pace.failure_rate, pace.within(0.5)) == (1, None, None)


def test_only_the_workflows_named_count(clock: Clock):
    make_runs(clock, 2)
    make_runs(clock, 3, workflow="mail")

    trend = statistics.trend(clock.now, 24, HOUR, workflows={"mail"})

    assert (trend.runs.total(), [pace.workflow for pace in trend.paces]) == (3, ["mail"])


def test_of_many_runs_some_are_looked_at_and_the_numbers_are_estimates(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
):
    monkeypatch.setattr(statistics, "SAMPLE", 100)
    for _ in range(10):
        make_runs(clock, 90, status=Run.Status.SUCCEEDED)
        make_runs(clock, 10, status=Run.Status.FAILED)
    clock.advance("1s")

    with django_assert_num_queries(4):
        trend = statistics.trend(clock.now, 24, HOUR)

    assert (trend.one_in, trend.looked_at, trend.runs.total()) == (10, 100, 1000)
    assert 50 <= trend.runs["failed"] <= 150
