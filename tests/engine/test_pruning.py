"""Workers forget what ended long ago by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.shells import Define
from workflows_app import Workflow
from workflows_app.engine import definitions, pruning, retention
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, Message, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def story(define: Define, clock: Clock) -> Workflow:
    @define(retries=0)
    async def story(context: Any) -> None:
        if context.request_payload == "fail":
            raise OSError

    @story.on_failure
    def tell(failure: Any) -> None:
        raise OSError

    return story


def keep(
    account: Account, success: timedelta | None = None, error: timedelta | None = None
) -> None:
    definitions.set_retention(account, success_retention=success, error_retention=error)


def next_look(clock: Clock) -> timedelta:
    due_at = Message.objects.get(kind=Message.Kind.PRUNING).due_at
    assert due_at is not None
    return due_at - clock.now


def test_it_is_owed_once_and_always_again(account: Account, clock: Clock) -> None:
    pruning.owe()
    pruning.owe()

    assert Message.objects.count() == 1
    assert drain_here() == 1
    assert next_look(clock) == pruning.PAUSE


def test_runs_go_when_their_time_has_come_as_many_as_there_are(
    story: Workflow,
    account: Account,
    clock: Clock,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.WORKFLOWS = {"RETENTION": "2d"}
    monkeypatch.setattr(retention, "BATCH", 2)
    story.trigger_many(range(3))
    keep(account, success=timedelta(minutes=20))
    story.trigger_many(range(5))
    drain_here()
    pruning.owe()
    drain_here()

    clock.advance("20m")
    drain_here()
    assert Run.objects.count() == 3
    clock.advance("2d")
    drain_here()
    assert Run.objects.count() == 0


def test_a_failed_run_stays_until_its_failure_is_told(
    story: Workflow, account: Account, clock: Clock
) -> None:
    keep(account, error=timedelta())
    story.trigger("fail", retries=1)
    pruning.owe()
    drain_here()
    clock.advance("10m")
    drain_here()
    assert Run.objects.get().status == Run.Status.FAILED
    clock.advance("10m")
    drain_here()
    clock.advance("10m")
    drain_here()

    assert not Run.objects.exists()


def test_where_runs_are_kept_for_ever_those_go_that_say_otherwise(
    story: Workflow, account: Account, clock: Clock, settings: Settings
) -> None:
    settings.WORKFLOWS = {"RETENTION": None}
    story.trigger()
    keep(account, success=timedelta(days=1))
    story.trigger()
    pruning.owe()
    drain_here()
    clock.advance("1000d")
    drain_here()

    assert Run.objects.count() == 1
