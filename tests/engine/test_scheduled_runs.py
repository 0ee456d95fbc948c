"""Runs that the cron expressions of a workflow start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.engine.publishing import URL
from tests.shells import registry
from workflows_app import Workflow, WorkflowEntrypoint, workflow
from workflows_app.engine import definitions, recent, schedules
from workflows_app.engine.definitions import VersionOptions
from workflows_app.engine.drain import drain_here
from workflows_app.errors import InvalidCron, InvalidInput, LimitExceeded, NotFound
from workflows_app.models import Account, Message, Run, Schedule
from workflows_app.protocol.codec import decode_json

pytestmark = pytest.mark.django_db

__all__ = ["registry"]


@pytest.fixture(autouse=True)
def story(registry: dict[str, Workflow], clock: Clock) -> Iterator[Workflow]:
    recent.forget()

    @workflow("story", retries=1)
    def story(context: Any) -> Any:
        return context.request_payload

    yield story
    recent.forget()


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2030, 1, 2, hour, minute, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def schedule(account: Account, *crons: str) -> None:
    definitions.update(account, "story", VersionOptions(crons=crons))


def slots() -> dict[str, datetime | None]:
    owed = Message.objects.filter(kind=Message.Kind.SCHEDULE).select_related("schedule")
    return {each.schedule.cron: each.due_at for each in owed if each.schedule}


def run_ids() -> list[str]:
    return list(Run.objects.order_by("pk").values_list("run_id", flat=True))


def test_each_expression_starts_a_run_at_each_of_its_times(account: Account, clock: Clock) -> None:
    schedule(account, "0 * * * *", "0  */1 * * *")
    clock.advance("1h")
    drain_here()

    one, two = Run.objects.order_by("run_id")
    moment = milliseconds(at(13))
    assert (one.run_id, two.run_id) == (f"0 * * * *-{moment}", f"0 */1 * * *-{moment}")
    assert one.source == Run.Source.SCHEDULE
    assert decode_json(one.schedule) == {"cron": "0 * * * *", "scheduledTime": moment}
    assert (one.status, one.result, one.retries) == ("succeeded", None, 1)
    assert one.version is not None
    assert slots() == {"0 * * * *": at(14), "0 */1 * * *": at(14)}


def test_a_class_is_told_when_it_was_to_start(account: Account, clock: Clock) -> None:
    class Nightly(WorkflowEntrypoint, name="nightly"):
        def run(self, event: Any, step: Any) -> Any:
            return [event.payload, event.schedule.cron, event.schedule.scheduledTime]

    definitions.update(account, "nightly", VersionOptions(crons=("0 0 * * *",)))
    clock.advance("12h")
    drain_here()

    (run,) = Run.objects.all()
    assert run.status == "succeeded"
    assert decode_json(run.result or "") == [None, "0 0 * * *", milliseconds(clock.now)]


def test_of_slots_that_passed_while_nobody_worked_one_counts(
    account: Account, clock: Clock
) -> None:
    schedule(account, "0 * * * *")
    clock.advance("3h5m")
    drain_here()

    assert run_ids() == [f"0 * * * *-{milliseconds(at(13))}"]
    assert slots() == {"0 * * * *": at(16)}


def test_an_update_replaces_the_set_and_leaves_the_slots_of_what_stays(
    account: Account, clock: Clock
) -> None:
    schedule(account, "0 * * * *", "30 * * * *")
    kept = Schedule.objects.get(cron="0 * * * *")
    clock.advance("1h")

    schedule(account, "0 * * * *", "15 * * * *", "15 * * * *")

    assert slots() == {"0 * * * *": at(13), "15 * * * *": at(13, 15)}
    assert Schedule.objects.get(cron="0 * * * *") == kept
    schedule(account)
    assert slots() == {}
    assert not Schedule.objects.exists()


def test_expressions_may_name_a_time_zone(account: Account, clock: Clock) -> None:
    schedule(account, "CRON_TZ=Europe/Berlin 0 9 * * *")

    assert list(slots().values()) == [datetime(2030, 1, 3, 8, tzinfo=UTC)]


def test_two_accounts_have_schedules_of_their_own(
    account: Account, other_account: Account, clock: Clock
) -> None:
    schedule(account, "0 * * * *")
    schedule(other_account, "0 * * * *")
    clock.advance("1h")
    drain_here()

    assert len(set(run_ids())) == 1
    assert {run.account for run in Run.objects.all()} == {account, other_account}


def test_what_publishes_messages_knows_nothing_of_these(account: Account) -> None:
    schedule(account, "0 * * * *")
    made = Schedule.objects.get()

    assert not schedules.schedules_of(account).exists()
    with pytest.raises(NotFound):
        schedules.find_schedule(account, made.public_id)
    with pytest.raises(InvalidInput):
        named = {"upstash-cron": "0 * * * *", "upstash-schedule-id": made.public_id}
        schedules.create(account, URL, named.items(), b"", caller_ip="")


def test_a_schedule_whose_workflow_is_gone_says_so_until_it_is_back(
    account: Account, clock: Clock, registry: dict[str, Workflow], story: Workflow
) -> None:
    schedule(account, "0 * * * *")
    registry.clear()
    clock.advance("1h")
    drain_here()

    made = Schedule.objects.get()
    assert made.error == 'no workflow "story" is registered here'
    registry["story"] = story
    clock.advance("1h")
    drain_here()
    made.refresh_from_db()
    assert (made.error, made.last_slot_at) == ("", at(14))
    assert run_ids() == [f"0 * * * *-{milliseconds(at(14))}"]


@pytest.mark.parametrize(
    ("crons", "error"),
    [
        (("every day",), InvalidCron),
        (("0 * * * *", "0 0 30 2 *"), InvalidCron),
        (("0 " * 129 + "* * * *",), InvalidInput),
        (("0 * * * *", "1 * * * *", "2 * * * *"), LimitExceeded),
    ],
    ids=str,
)
def test_schedules_that_cannot_be_leave_all_as_it_was(
    account: Account, settings: Settings, crons: tuple[str, ...], error: type[Exception]
) -> None:
    settings.WORKFLOWS = {"MAX_SCHEDULES": 2}
    schedule(account, "5 * * * *")

    with pytest.raises(error):
        schedule(account, *crons)
    assert slots() == {"5 * * * *": at(12, 5)}
