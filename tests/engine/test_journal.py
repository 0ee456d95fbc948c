"""Recording steps: once each, and only under a live lease."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection

from tests.conftest import Clock
from workflows_app import Context, Workflow, workflow
from workflows_app.engine import leases
from workflows_app.engine.history import add_attempts, as_row, load_history
from workflows_app.engine.journal import Journal
from workflows_app.engine.leases import Lease, hold, is_held
from workflows_app.engine.turn_writes import end_run, insert_steps
from workflows_app.errors import LeaseLost
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.runs import (
    FailedAttempt,
    Failures,
    History,
    StepKind,
    StepRecord,
)

pytestmark = pytest.mark.django_db

ways = pytest.mark.parametrize(
    "way",
    [
        pytest.param("own commit", marks=pytest.mark.django_db(transaction=True)),
        pytest.param("in a transaction"),
    ],
)


@pytest.fixture
def lease(registry: dict[str, Workflow], clock: Clock) -> Lease:
    @workflow("story")
    def story(context: Context) -> None: ...

    story.trigger(workflow_run_id="order-7")
    (lease,) = leases.claim(1)
    return lease


def a_step(clock: Clock, key: str = "a", **changes: Any) -> StepRecord:
    record = StepRecord(
        key=key,
        name=key,
        kind=StepKind.RUN,
        branch="",
        input=None,
        result='"größe 茶"',
        error=None,
        attempts=1,
        started_at=clock.now,
        ended_at=clock.now,
    )
    return replace(record, **changes)


def an_attempt(clock: Clock, number: int, **changes: Any) -> FailedAttempt:
    attempt = FailedAttempt(
        key="a",
        number=number,
        error='{"type":"OSError"}',
        started_at=clock.now,
        ended_at=clock.now,
        retry_at=clock.now + timedelta(seconds=number),
    )
    return replace(attempt, **changes)


def lost(lease: Lease) -> Lease:
    return replace(lease, token="of another worker")


# -- reading


def test_a_run_that_has_recorded_nothing_has_an_empty_history(lease: Lease) -> None:
    assert load_history(lease.run) == History()


def test_a_history_is_what_was_recorded_in_its_order(lease: Lease, clock: Clock) -> None:
    steps = [
        a_step(clock, "b", branch="2.1", input='{"x":1}', attempts=3),
        a_step(clock, "a", result=None, error='{"type":"OSError"}'),
        a_step(clock, "token", sensitive=True),
        a_step(
            clock,
            "nap",
            kind=StepKind.SLEEP,
            result=None,
            ended_at=clock.now + timedelta(days=1, microseconds=1),
        ),
    ]
    Journal(lease).record(steps, [])

    assert load_history(lease.run) == History(steps=tuple(steps))


def test_a_history_counts_failed_attempts_and_knows_the_first_and_when_the_next_is_due(
    lease: Lease, clock: Clock
) -> None:
    first, later = clock.now, clock.now + timedelta(seconds=5)
    Journal(lease).record([], [an_attempt(clock, 1, config='{"timeout":1}')])
    Journal(lease).record([], [an_attempt(clock, 2, config="{}", started_at=later)])
    Journal(lease).record([], [an_attempt(clock, 1, key="", retry_at=None)])
    Attempt.objects.create(
        run=lease.run,
        key="a",
        outcome="superseded",
        number=1,
        error="{}",
        started_at=clock.now,
        ended_at=clock.now,
    )

    assert load_history(lease.run).failures == {
        "a": Failures(
            count=2,
            retry_at=first + timedelta(seconds=2),
            started_at=first,
            config='{"timeout":1}',
        ),
        "": Failures(count=1, retry_at=None, started_at=first),
    }


def test_histories_of_runs_are_apart(lease: Lease, clock: Clock, registry: Any) -> None:
    Journal(lease).record([a_step(clock)], [an_attempt(clock, 1)])
    registry["story"].trigger()
    (other,) = leases.claim(1)

    assert load_history(other.run) == History()


# -- recording


@ways
def test_a_step_is_recorded_under_its_lease(way: str, lease: Lease, clock: Clock) -> None:
    assert Journal(lease).record([a_step(clock, "a"), a_step(clock, "b")], []) == {}

    assert list(Step.objects.order_by("pk").values_list("key", "result")) == [
        ("a", '"größe 茶"'),
        ("b", '"größe 茶"'),
    ]


@ways
def test_the_first_result_of_a_step_stands(way: str, lease: Lease, clock: Clock) -> None:
    first, second = a_step(clock, result="1"), a_step(clock, result="2")
    Journal(lease).record([first], [])

    stood = Journal(lease).record([second, a_step(clock, "b")], [])

    assert stood["a"] == first
    assert load_history(lease.run).steps == (first, a_step(clock, "b"))


@ways
def test_without_the_lease_nothing_is_recorded(way: str, lease: Lease, clock: Clock) -> None:
    journal = Journal(lost(lease))

    with pytest.raises(LeaseLost):
        journal.record([a_step(clock)], [])
    with pytest.raises(LeaseLost):
        journal.record([a_step(clock)], [an_attempt(clock, 1)])
    with pytest.raises(LeaseLost):
        journal.record([], [an_attempt(clock, 1)])

    assert not Step.objects.exists()
    assert not Attempt.objects.exists()


@ways
def test_without_the_lease_it_is_not_even_said_what_stands(
    way: str, lease: Lease, clock: Clock
) -> None:
    Journal(lease).record([a_step(clock)], [])

    with pytest.raises(LeaseLost):
        Journal(lost(lease)).record([a_step(clock)], [])


@ways
def test_a_failed_attempt_and_what_it_led_to_are_recorded_together(
    way: str, lease: Lease, clock: Clock
) -> None:
    step = a_step(clock, result=None, error='{"type":"OSError"}', attempts=2)
    last = an_attempt(clock, 2, retry_at=None)
    Journal(lease).record([step], [last])

    assert load_history(lease.run) == History(
        steps=(step,), failures={"a": Failures(count=1, retry_at=None, started_at=clock.now)}
    )


def test_a_step_that_failed_for_another_worker_first_stands(lease: Lease, clock: Clock) -> None:
    first = a_step(clock, result="1")
    Journal(lease).record([first], [])
    failed = a_step(clock, result=None, error="{}")

    assert Journal(lease).record([failed], [an_attempt(clock, 1, retry_at=None)]) == {"a": first}


@ways
def test_a_thousand_steps_may_be_recorded_at_once(way: str, lease: Lease, clock: Clock) -> None:
    steps = [a_step(clock, f"step {number}") for number in range(1_000)]

    assert insert_steps(lease, steps) == 1_000
    assert insert_steps(lease, steps) == 0
    assert load_history(lease.run).steps == tuple(steps)


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_is_raised_and_leaves_the_journal_usable(
    lease: Lease, clock: Clock
) -> None:
    with pytest.raises(DatabaseError):
        insert_steps(lease, [a_step(clock, "a"), a_step(clock, "b", attempts=-1)])

    assert not Step.objects.exists()
    assert insert_steps(lease, [a_step(clock)]) == 1


def test_a_row_is_made_of_a_record(lease: Lease, clock: Clock) -> None:
    record = a_step(clock, kind=StepKind.CALL)
    as_row(lease.run_id, record).save()

    assert load_history(lease.run).steps == (record,)


# -- holding and ending


def test_a_lease_is_held_by_who_shows_its_token(lease: Lease) -> None:
    assert is_held(lease)
    assert not is_held(lost(lease))
    hold(lease)
    with pytest.raises(LeaseLost):
        hold(lost(lease))


@ways
def test_a_run_that_ends_is_owed_nothing_more(way: str, lease: Lease, clock: Clock) -> None:
    Message.objects.create(
        account_id=lease.run.account_id,
        run=lease.run,
        kind="call",
        key="ask",
        due_at=clock.now,
        created_at=clock.now,
    )
    clock.advance("1m")
    end_run(lease, Run.Status.SUCCEEDED, "7", clock.now)

    run = Run.objects.get()
    assert (run.status, run.result, run.ended_at, run.live_id) == (
        "succeeded",
        "7",
        clock.now,
        None,
    )
    assert not Message.objects.exists()


@ways
def test_without_the_lease_a_run_is_not_ended(way: str, lease: Lease, clock: Clock) -> None:
    with pytest.raises(LeaseLost):
        end_run(lost(lease), Run.Status.SUCCEEDED, "7", clock.now)

    run = Run.objects.get()
    assert (run.status, run.result, run.ended_at) == ("running", None, None)
    assert Message.objects.count() == 1


@ways
def test_a_run_ends_once(way: str, lease: Lease, clock: Clock) -> None:
    end_run(lease, Run.Status.SUCCEEDED, "7", clock.now)

    with pytest.raises(LeaseLost):
        end_run(lease, Run.Status.CANCELED, None, clock.now)
    assert Run.objects.get().status == "succeeded"


def test_attempts_are_added_as_they_are(lease: Lease, clock: Clock) -> None:
    add_attempts(lease.run_id, [an_attempt(clock, 1), an_attempt(clock, 2, retry_at=None)])

    assert list(
        Attempt.objects.order_by("pk").values_list("key", "number", "outcome", "retry_at")
    ) == [
        ("a", 1, "failed", clock.now + timedelta(seconds=1)),
        ("a", 2, "failed", None),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_step_is_one_statement(
    lease: Lease, clock: Clock, django_assert_num_queries: Any
) -> None:
    """On SQLite it is none of this connection at all: a process writes on one of its own."""
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 0):
        Journal(lease).record([a_step(clock)], [])
