"""Schedules in the admin: when they are due, what they did, and doing it now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin import flows
from tests.admin.pages import messages, read, rows
from tests.conftest import Clock
from workflows_app.engine import definitions, schedules
from workflows_app.engine.definitions import VersionOptions
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, Definition, Message, Publication, Run, Schedule
from workflows_app.models.access import WorkflowLimit

pytestmark = pytest.mark.django_db

LIST = "/admin/workflows_app/schedule/"


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.default()


@pytest.fixture
def hourly(account: Account) -> Schedule:
    """Starts a run of a workflow."""
    definitions.update(account, flows.order.name, VersionOptions(crons=("0 * * * *",)))
    return Schedule.objects.get()


@pytest.fixture
def publishing(account: Account) -> Schedule:
    headers = [("upstash-cron", "0 * * * *"), ("upstash-schedule-id", "ping")]
    return schedules.create(account, "https://example.com/ping", headers, b"", caller_ip="")


def page_of(client: Client, schedule: Schedule) -> str:
    return read(client.get(f"{LIST}{schedule.pk}/change/"))


def trigger(client: Client, schedule: Schedule) -> list[str]:
    return messages(client.post(f"{LIST}{schedule.pk}/trigger/", follow=True))


def test_the_page_shows_the_runs_of_the_last_slots(
    admin_client: Client, hourly: Schedule, clock: Clock
) -> None:
    for _ in range(2):
        clock.advance("1h")
        drain_here()
    flows.order.trigger(workflow_run_id="by-hand")

    page = page_of(admin_client, hourly)

    started, before = Run.objects.exclude(run_id="by-hand").order_by("-pk")
    assert f"succeeded {started.run_id} 14:00:00" in page
    assert before.run_id in page
    assert "by-hand" not in page


def test_the_page_shows_the_last_messages(
    admin_client: Client, publishing: Schedule, clock: Clock
) -> None:
    clock.advance("1h")
    schedules.trigger(publishing)

    page = page_of(admin_client, publishing)

    published = Publication.objects.get()
    assert f"Its last messages\nState Message Published\nWaiting {published.public_id} " in page


def test_a_run_is_started_now_and_the_times_stay_as_they_are(
    admin_client: Client, hourly: Schedule
) -> None:
    schedules.pause(hourly)
    schedules.resume(hourly)
    owed = Message.objects.get(kind=Message.Kind.SCHEDULE)

    said = trigger(admin_client, hourly)

    run = Run.objects.get()
    sentence = f"Schedule {hourly.public_id} has started run {run.run_id} now."
    assert said == [sentence]
    assert run.source == Run.Source.SCHEDULE
    assert Message.objects.get(kind=Message.Kind.SCHEDULE).due_at == owed.due_at
    assert {entry.get_change_message() for entry in LogEntry.objects.all()} == {sentence}


def test_a_paused_schedule_can_publish_now(admin_client: Client, publishing: Schedule) -> None:
    schedules.pause(publishing)

    assert trigger(admin_client, publishing) == ["Schedule ping has published now."]
    assert Publication.objects.get().schedule_id == "ping"


def test_what_is_not_registered_any_more_is_not_started(
    admin_client: Client, hourly: Schedule
) -> None:
    Definition.objects.update(name="gone")

    assert trigger(admin_client, hourly) == ['No workflow "gone" is registered here']
    assert not LogEntry.objects.exists()


def test_the_last_error_is_in_the_list(admin_client: Client, hourly: Schedule) -> None:
    Schedule.objects.update(error="no workflow is registered here")

    (listed,) = rows(admin_client.get(LIST))

    assert listed.startswith("goes wrong")
    assert listed.endswith("no workflow is registered here")


def test_what_it_did_is_shown_to_those_alone_who_may_see_that(
    client_with: Callable[..., Client], hourly: Schedule, clock: Clock
) -> None:
    clock.advance("1h")
    drain_here()

    page = page_of(client_with("view_schedule"), hourly)

    assert "Runs of its last slots" not in page


def test_who_may_not_change_schedules_triggers_none(
    client_with: Callable[..., Client], hourly: Schedule
) -> None:
    client = client_with("view_schedule", "trigger_run")

    assert client.post(f"{LIST}{hourly.pk}/trigger/").status_code == 403
    assert not Run.objects.exists()


def test_limited_users_see_the_schedules_of_their_workflows(
    client_with: Callable[..., Client], hourly: Schedule, publishing: Schedule
) -> None:
    client = client_with("view_schedule", "change_schedule")
    group = Group.objects.create(name="shop")
    User.objects.get().groups.add(group)
    limit = WorkflowLimit.objects.create(group=group, workflow=flows.order.name)

    assert [row.count(hourly.public_id) for row in rows(client.get(LIST))] == [1]
    assert "doesn’t exist" in trigger(client, publishing)[0]  # noqa: RUF001 - Django's own
    limit.workflow = "another"
    limit.save()
    assert rows(client.get(LIST)) == []
