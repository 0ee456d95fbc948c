"""Workflows, their versions and their schedules in the admin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.pages import read, rows
from tests.conftest import Clock
from workflows_app.engine import definitions
from workflows_app.engine.definitions import VersionOptions
from workflows_app.models import Account, Definition, Message, Run, Schedule, Version

pytestmark = pytest.mark.django_db

BASE = "/admin/workflows_app"
SET = VersionOptions(
    step_limit=50,
    parallelism=2,
    success_retention=timedelta(days=1),
    error_retention=timedelta(),
    crons=("0 * * * *",),
)


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.default()


@pytest.fixture
def version(account: Account, clock: Clock) -> Version:
    flows.order.trigger()
    return definitions.update(account, flows.order.name, SET)


def page_of(client: Client, row: Definition | Version | Schedule | Run) -> str:
    name = row._meta.model_name
    return read(client.get(f"{BASE}/{name}/{row.pk}/change/"))


def test_a_workflow_shows_what_its_newest_version_sets(
    admin_client: Client, version: Version
) -> None:
    (listed,) = rows(admin_client.get(f"{BASE}/definition/"))
    page = page_of(admin_client, version.definition)

    assert listed.startswith("registered admin-order order tests.admin.flows default")
    assert "Steps of a run, at most\n50\nRuns at work at once\n2\nKept for\n1 d" in page
    assert "Kept, if failed, for\n0 s" in page
    assert "0 * * * *" in page
    assert "Schedules\nCron" in page
    assert str(version.public_id) in page
    assert page.count(version.digest[:12]) == 2


def test_a_workflow_without_schedules_has_no_table_of_them(
    admin_client: Client, account: Account, version: Version
) -> None:
    definitions.update(account, flows.order.name, VersionOptions())

    assert "Could not start" not in page_of(admin_client, version.definition)


def test_a_version_shows_its_source_and_its_graph(admin_client: Client, version: Version) -> None:
    page = page_of(admin_client, version)
    newest = rows(admin_client.get(f"{BASE}/version/"))[0]

    assert newest.startswith(f"{version} admin-order tests.admin.flows 12:00:00")
    assert f"Class or function\n{version.class_name}\nModule\ntests.admin.flows" in page
    assert f"Digest of the source\n{version.digest}" in page
    assert "Graph" in page


def test_a_run_leads_to_its_version(admin_client: Client, version: Version) -> None:
    run = Run.objects.get()

    assert f"Version\n{run.version}" in page_of(admin_client, run)


def test_a_deleted_workflow_is_shown_as_that(
    admin_client: Client, account: Account, version: Version
) -> None:
    definitions.delete(version.definition)

    (listed,) = rows(admin_client.get(f"{BASE}/definition/"))
    assert listed.startswith("deleted admin-order")
    assert rows(admin_client.get(f"{BASE}/definition/?deleted=yes")) == [listed]
    assert rows(admin_client.get(f"{BASE}/definition/?deleted=no")) == []
    assert "Its runs are being cancelled\nyes" in page_of(admin_client, version.definition)
    owed = Message.objects.get(kind=Message.Kind.TERMINATION)
    assert read(admin_client.get(f"{BASE}/message/{owed.pk}/change/")).count("admin-order") == 1


def test_what_starts_runs_is_among_the_schedules(
    admin_client: Client, version: Version, clock: Clock
) -> None:
    schedule = Schedule.objects.get()

    assert rows(admin_client.get(f"{BASE}/schedule/")) == [
        f"at work admin-order {schedule.public_id} 0 * * * * every hour, at minute 0 "
        "13:00:00 in 1 h -"
    ]
    page = page_of(admin_client, schedule)
    assert "In words\nevery hour, at minute 0\nStarts\nadmin-order" in page
    assert "Messages" not in page


def test_limits_of_workflows_are_not_among_the_flow_control_keys(
    admin_client: Client, account: Account, version: Version
) -> None:
    assert rows(admin_client.get(f"{BASE}/flowcontrol/")) == []

    said = {"account": account.pk, "key": "@workflow/admin-order", "parallelism": 5, "period": "1"}
    refused = read(admin_client.post(f"{BASE}/flowcontrol/add/", said))
    assert "Such a key holds the limit that a workflow has itself." in refused
