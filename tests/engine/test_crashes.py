"""Messages whose delivery ends its worker each time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.conftest import account, registry
from tests.engine.publishing import send, stored
from workflows_app import Context, Workflow, workflow
from workflows_app.engine import leases
from workflows_app.engine.crashes import give_up_if_crashed_too_often
from workflows_app.engine.delivery import deliver
from workflows_app.engine.journal import Journal
from workflows_app.engine.leases import Lease
from workflows_app.engine.settling import retry
from workflows_app.engine.triggering import trigger
from workflows_app.models import Account, DeadLetter, Message, Publication, Run
from workflows_app.protocol.runs import RunRequest, StepKind, StepRecord

__all__ = ["account", "registry"]

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=15)


@pytest.fixture(autouse=True)
def _three_crashes(settings: Settings) -> None:
    settings.WORKFLOWS = {"MAX_CRASHES": 3}


@pytest.fixture
def story(registry: dict[str, Workflow], clock: Clock) -> Workflow:
    @workflow("story")
    def story(context: Context) -> str:
        return context.run("tell", lambda: "once upon a time")

    return story


def crash(clock: Clock, times: int, during: Callable[[Lease], object] = lambda _: None) -> None:
    """Have a worker begin and end, without a word, so many times."""
    for _ in range(times):
        (lease,) = leases.claim(1)
        assert not (lease.lapses and give_up_if_crashed_too_often(lease))
        during(lease)
        clock.advance(LEASE)


def deliver_next() -> None:
    (lease,) = leases.claim(1)
    deliver(lease)


def test_a_run_that_ends_its_workers_again_and_again_fails_and_says_so(
    story: Workflow, clock: Clock
) -> None:
    story.trigger()
    crash(clock, 3)

    deliver_next()

    run = Run.objects.get()
    assert run.status == "failed"
    assert run.error_info is not None
    assert run.error_info["type"] == "WorkerCrashed"
    assert run.error_info["message"].startswith("3 workers in a row ended")
    assert DeadLetter.objects.get().run == run
    assert not Message.objects.exists()


def test_one_crash_less_does_no_harm(story: Workflow, clock: Clock) -> None:
    story.trigger()
    crash(clock, 2)

    deliver_next()

    assert Run.objects.get().status == "succeeded"


def test_crashes_with_progress_between_them_are_not_in_a_row(story: Workflow, clock: Clock) -> None:
    story.trigger()

    def record_a_step(lease: Lease) -> None:
        now = clock.now
        record = StepRecord(
            key=f"step-{lease.claims}",
            name="step",
            kind=StepKind.RUN,
            branch="",
            input=None,
            result="1",
            error=None,
            attempts=1,
            started_at=now,
            ended_at=now,
        )
        Journal(lease).record([record], [])

    crash(clock, 8, record_a_step)
    assert Run.objects.get().status == "running"


@pytest.mark.parametrize("how", ["given back", "put off"])
def test_crashes_with_a_delivery_between_them_that_did_not_are_not_in_a_row(
    story: Workflow, clock: Clock, how: str
) -> None:
    story.trigger()
    for _ in range(3):
        crash(clock, 2)
        (lease,) = leases.claim(1)
        assert lease.lapses == 2
        if how == "given back":
            leases.give_back([lease])
        else:
            retry(lease, clock.now)

    assert Run.objects.get().status == "running"


def test_a_delivery_to_an_endpoint_that_ends_its_workers_fails_its_run(
    account: Account, clock: Clock
) -> None:
    trigger(account, [RunRequest(url="https://app.example/", failure_url="https://app.example/f")])
    crash(clock, 3)
    deliver_next()

    run = Run.objects.get()
    error: Any = run.error_info
    assert (run.status, error["status"], error["key"], error["retried"]) == ("failed", 502, "", 0)
    assert Message.objects.get().kind == "failure"

    crash(clock, 3)
    deliver_next()

    assert DeadLetter.objects.get().callback_state == DeadLetter.CallbackState.FAILED
    assert not Message.objects.exists()


def test_a_plain_message_that_ends_its_workers_is_given_up(account: Account, clock: Clock) -> None:
    message_id = send(account)
    crash(clock, 3)
    deliver_next()

    publication = stored(message_id)
    assert publication.status == Publication.Status.FAILED
    assert "3 workers in a row ended" in publication.events.latest("pk").error
    assert not Message.objects.exists()
