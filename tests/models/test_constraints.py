"""What the database itself does not let happen, whatever the code does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction

from workflows_app.models import (
    Account,
    Attempt,
    DeadLetter,
    FlowControl,
    Message,
    Run,
    Step,
    Token,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


def a_run(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "account": Account.objects.default(),
        "run_id": "order-7",
        "live_id": "order-7",
        "url": "https://app.example",
        "retries": 3,
        "created_at": NOON,
    }
    return Run.objects.create(**{**fields, **changes})


def an_ended_run(**changes: Any) -> Run:
    return a_run(**{"live_id": None, "status": "failed", "ended_at": NOON, **changes})


def a_message(run: Run, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "account_id": 1,
        "run": run,
        "kind": "turn",
        "due_at": NOON,
        "created_at": NOON,
    }
    return Message.objects.create(**{**fields, **changes})


def a_step(run: Run, **changes: Any) -> Step:
    fields: dict[str, Any] = {
        "run": run,
        "key": "a",
        "name": "a",
        "kind": "run",
        "started_at": NOON,
        "ended_at": NOON,
    }
    return Step.objects.create(**{**fields, **changes})


def refused(write: Any, *args: Any, **kwargs: Any) -> bool:
    try:
        with transaction.atomic():
            write(*args, **kwargs)
    except IntegrityError:
        return True
    return False


def test_only_one_live_run_of_an_account_has_an_id() -> None:
    other = Account.objects.create(name="other")
    a_run()

    assert refused(a_run)
    assert not refused(a_run, account=other)
    assert not refused(an_ended_run)
    assert not refused(an_ended_run)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "running", "ended_at": NOON},
        {"status": "succeeded"},
        {"status": "failed", "ended_at": NOON},
        {"status": "canceled", "live_id": None},
    ],
    ids=["alive with an end", "ended without one", "ended with a live id", "neither"],
)
def test_only_ended_runs_have_an_end(changes: dict[str, Any]) -> None:
    assert refused(a_run, **changes)


def test_a_step_has_one_result() -> None:
    first, second = a_run(), an_ended_run()
    a_step(first)

    assert refused(a_step, first)
    assert not refused(a_step, first, key="a#2")
    assert not refused(a_step, second)


def test_nothing_is_owed_twice() -> None:
    run = a_run()
    a_message(run)
    a_message(run, kind="call", key="ask@1")

    assert refused(a_message, run)
    assert refused(a_message, run, kind="call", key="ask@1")
    assert not refused(a_message, run, kind="call", key="ask@2")
    assert not refused(a_message, an_ended_run(), kind="failure")


def test_a_lease_runs_out() -> None:
    run = a_run()

    assert refused(a_message, run, token="a-lease", due_at=None)
    assert not refused(a_message, run, due_at=None)


def test_a_run_has_one_entry_in_the_dead_letter_queue() -> None:
    run = an_ended_run()
    DeadLetter.objects.create(account_id=1, run=run, created_at=NOON)

    assert refused(DeadLetter.objects.create, account_id=1, run=run, created_at=NOON)


def test_a_flow_control_limits_something() -> None:
    make = FlowControl.objects.create

    assert refused(make, account_id=1, key="none")
    assert refused(make, account_id=1, key="zero", parallelism=0)
    assert refused(make, account_id=1, key="no rate", rate=0)
    assert not refused(make, account_id=1, key="both", parallelism=1, rate=1)
    assert not refused(make, account_id=1, key="one", parallelism=1)
    assert not refused(make, account_id=1, key="the other", rate=1)


def test_an_account_has_one_flow_control_per_key() -> None:
    other = Account.objects.create(name="other")
    FlowControl.objects.create(account_id=1, key="k", rate=1)

    assert refused(FlowControl.objects.create, account_id=1, key="k", rate=2)
    assert not refused(FlowControl.objects.create, account=other, key="k", rate=2)


def test_accounts_and_tokens_are_told_apart() -> None:
    Token.objects.create(account_id=1, name="a", digest="d" * 64)

    assert refused(Account.objects.create, name="default")
    assert refused(Token.objects.create, account_id=1, name="b", digest="d" * 64)
    assert not refused(Token.objects.create, account_id=1, name="a", digest="e" * 64)


def test_a_run_takes_all_that_belongs_to_it_with_it() -> None:
    run = an_ended_run()
    a_message(run, kind="failure")
    a_step(run)
    Attempt.objects.create(run=run, number=1, error="{}", started_at=NOON, ended_at=NOON)
    DeadLetter.objects.create(account_id=1, run=run, created_at=NOON)
    successor = a_run(origin=run)
    run.delete()

    left: list[type[models.Model]] = [Message, Step, Attempt, DeadLetter]
    assert [model.__name__ for model in left if model._default_manager.exists()] == []
    successor.refresh_from_db()
    assert successor.origin is None


def test_a_flow_control_that_is_removed_sets_its_runs_free() -> None:
    control = FlowControl.objects.create(account_id=1, key="k", rate=1)
    run = a_run(flow_control=control)
    message = a_message(run, flow_control=control)
    control.delete()

    run.refresh_from_db()
    message.refresh_from_db()
    assert (run.flow_control, message.flow_control) == (None, None)


def test_the_moments_of_the_database_are_exact() -> None:
    precise = NOON + timedelta(microseconds=123_457)
    run = a_run(created_at=precise)
    run.refresh_from_db()

    assert run.created_at == precise
