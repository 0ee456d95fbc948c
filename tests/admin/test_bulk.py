"""One verb on many rows, a request's worth at a time."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.test import Client

from tests.admin import flows
from tests.admin.pages import messages, read
from workflows_app.admin import bulk
from workflows_app.models import DeadLetter, Run, Step

RUNS = "/admin/workflows_app/run/"


@pytest.fixture
def five_runs(db: None) -> list[Run]:
    for number in range(5):
        flows.nap.trigger(workflow_run_id=f"nap-{number}")
    return list(Run.objects.order_by("pk"))


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request has time for more than one row."""
    monkeypatch.setattr(bulk, "SECONDS", 0)


def all_of(verb: str, runs: list[Run]) -> dict[str, Any]:
    return {"action": verb, "select_across": "1", "_selected_action": [str(runs[0].pk)]}


def fields(page: Any) -> dict[str, Any]:
    """What the form of the page sends when it is confirmed."""
    form = page.content.decode().rpartition("<form")[2]
    found = re.findall(r'name="([^"]+)" value="([^"]*)"', form)
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def test_all_that_a_filter_finds_is_acted_on_however_many_pages_it_has(
    admin_client: Client, five_runs: list[Run], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    asked = admin_client.post(RUNS, all_of("cancel", five_runs))

    page = admin_client.post(RUNS, fields(asked), follow=True)

    assert "5 runs:" in read(asked)
    assert messages(page) == ["5 cancelled"]
    assert not Run.objects.live().exists()
    assert LogEntry.objects.count() == 5


def test_what_takes_longer_than_a_request_goes_on_where_it_was(
    admin_client: Client, five_runs: list[Run], one_at_a_time: None
):
    asked = admin_client.post(RUNS, all_of("cancel", five_runs))

    page = admin_client.post(RUNS, fields(asked))

    assert "1 cancelled\n1 of 5 runs" in read(page)
    assert Run.objects.live().count() == 4
    for _ in range(4):
        page = admin_client.post(RUNS, fields(page))
    assert "5 of 5 runs" in read(page)
    assert messages(admin_client.post(RUNS, fields(page), follow=True)) == ["5 cancelled"]


def test_runs_that_begin_meanwhile_are_left_alone(
    admin_client: Client, five_runs: list[Run], one_at_a_time: None
):
    page = admin_client.post(RUNS, all_of("restart", five_runs))
    for _ in range(6):
        page = admin_client.post(RUNS, fields(page), follow=True)

    assert messages(page) == ["5 restarted"]
    assert Run.objects.count() == 10


def test_more_rows_than_are_counted_are_said_to_be_more(
    admin_client: Client, five_runs: list[Run], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bulk, "COUNTED", 3)
    monkeypatch.setattr(bulk, "NAMED", 2)

    asked = read(admin_client.post(RUNS, all_of("cancel", five_runs)))

    assert "more than 3 runs:\nadmin-nap nap-4\nadmin-nap nap-3\nand others" in asked


def test_progress_that_was_not_said_by_us_counts_for_nothing(
    admin_client: Client, five_runs: list[Run]
):
    form = all_of("cancel", five_runs) | {"confirmed": "yes", "progress": '{"until": 0}'}

    page = admin_client.post(RUNS, form, follow=True)

    assert messages(page) == ["5 cancelled"]


def test_deleted_runs_leave_only_the_entry_that_says_so(admin_client: Client, failed_run: Run):
    form = all_of("delete", [failed_run]) | {"confirmed": "yes"}

    page = admin_client.post(RUNS, form, follow=True)

    assert messages(page) == ["1 deleted"]
    assert not Run.objects.exists()
    assert not Step.objects.exists()
    assert not DeadLetter.objects.exists()
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_repr) == (DELETION, "card-5")


@pytest.mark.parametrize(
    ("permissions", "status"), [(["change_run"], 403), (["view_run", "delete_run"], 200)]
)
def test_deleting_needs_its_own_permission(
    client_with: Any, failed_run: Run, permissions: list[str], status: int
):
    client = client_with("view_run", *permissions)

    assert client.get(f"{RUNS}{failed_run.pk}/delete/").status_code == status
