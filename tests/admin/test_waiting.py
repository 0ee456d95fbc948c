"""What runs wait for: events, and the ends of other runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin import flows
from tests.admin.pages import read, rows
from tests.conftest import Clock
from tests.rest.conftest import Endpoint
from tests.rest.remote_runs import URL, RemoteRun
from workflows_app import Context, workflow
from workflows_app.engine import events
from workflows_app.engine.drain import drain_here
from workflows_app.engine.pausing import pause
from workflows_app.engine.run_moves import cancel
from workflows_app.models import Event, Invocation, Run, Waiter, WorkflowLimit
from workflows_app.protocol.redaction import redacted
from workflows_app.protocol.runs import RunRequest

BASE = "/admin/workflows_app"


@pytest.fixture
def run(db: None, clock: Clock, endpoint: Endpoint) -> RemoteRun:
    return RemoteRun.start(endpoint, redaction="body")


def test_a_waiter_says_who_waits_for_what_and_how_long(
    admin_client: Client, run: RemoteRun, clock: Clock
):
    run.wait(1, "approval", "approved")
    clock.advance("5s")

    assert rows(admin_client.get(f"{BASE}/waiter/")) == [
        f"approved {URL} run 1 12:00:00 5 s ago 12:00:20 in 15 s Send event…"
    ]
    assert rows(admin_client.get(f"{BASE}/waiter/?q=denied")) == []
    page = read(admin_client.get(f"{BASE}/waiter/{Waiter.objects.get().pk}/change/"))
    assert "approved\nRun\nrun\nStep\n1\nWaits since\n12:00:00 5 s ago" in page
    assert '"stepName": "approval"' in page


def test_an_event_that_came_first_is_shown_without_what_is_to_be_hidden(
    admin_client: Client, run: RemoteRun
):
    events.notify_run(run.row, "approved", b"the secret")

    assert rows(admin_client.get(f"{BASE}/event/")) == [f"approved {URL} run 12:00:00 just now"]
    page = read(admin_client.get(f"{BASE}/event/{Event.objects.get().pk}/change/"))
    assert f"Data\n{redacted(b'the secret')}" in page


def test_an_invocation_names_both_runs(admin_client: Client, run: RemoteRun):
    child = run.invoke(1, "child", RunRequest(url="https://app.example/child", run_id="child"))

    (listed,) = rows(admin_client.get(f"{BASE}/invocation/?q=child"))
    assert listed == (f"https://app.example/child child running {URL} run 1 12:00:00 just now")
    page = admin_client.get(f"{BASE}/invocation/{Invocation.objects.get().pk}/change/")
    assert "queued child\nRun\nchild\nInvoked by\nrun\nStep\n1" in read(page)
    assert f"{BASE}/run/{child.pk}/change/" in page.content.decode()


def test_a_run_leads_to_what_it_waits_for(admin_client: Client, run: RemoteRun):
    run.wait(1, "approval", "approved", concurrent=2)
    run.invoke(2, "child", RunRequest(url=URL, run_id="child"), concurrent=2)
    events.notify_run(run.row, "denied", b"")

    page = admin_client.get(f"{BASE}/run/{run.row.pk}/change/")
    assert "Waiters\n1\nUnclaimed events\n1\nInvoked runs\n1" in read(page)
    for address in (
        f"{BASE}/waiter/?run__id__exact={run.row.pk}",
        f"{BASE}/event/?run__id__exact={run.row.pk}",
        f"{BASE}/invocation/?parent__id__exact={run.row.pk}",
    ):
        assert address in page.content.decode()
        assert len(rows(admin_client.get(address))) == 1


def test_a_run_worked_on_here_says_what_it_waits_for(admin_client: Client, clock: Clock):
    flows.wait.trigger(workflow_run_id="order")
    drain_here()
    run = Run.objects.get()

    assert len(rows(admin_client.get(f"{BASE}/waiter/?q=paid"))) == 1
    page = read(admin_client.get(f"{BASE}/run/{run.pk}/change/"))
    assert "for event paid" in page
    assert "payment" in page
    assert "waits for event paid, until 13:00:00, in 1 h" in page


def test_a_paused_run_has_as_long_left_to_wait_as_when_it_was_paused(
    admin_client: Client, clock: Clock
):
    flows.wait.trigger(workflow_run_id="order")
    drain_here()
    run = Run.objects.get()
    clock.advance("20m")
    pause(run)
    clock.advance("1d")

    page = read(admin_client.get(f"{BASE}/run/{run.pk}/change/"))
    assert "waits for event paid, until 40 min after the run is resumed" in page


@workflow("admin-hook")
def hook(context: Context) -> None:
    context.wait_for_webhook("call", webhook=context.create_webhook("hook"))


def test_the_page_of_waits_tells_the_other_lists_in_brief(admin_client: Client, run: RemoteRun):
    run.wait(1, "approval", "approved", concurrent=2)
    run.invoke(2, "child", RunRequest(url=URL, run_id="child"), concurrent=2)
    events.notify_run(run.row, "denied", b"")

    page = read(admin_client.get(f"{BASE}/waiter/"))

    assert "Waiters 1 Unclaimed events 1 Open invocations 1 Send event…" in page
    assert f"Event id Run Came\ndenied {URL}\nrun 12:00:00 just now" in page
    assert f"Invoked run By Since\nchild {URL}\nrun 2 12:00:00 just now" in page


def test_an_invocation_is_open_until_its_run_has_ended(admin_client: Client, run: RemoteRun):
    child = run.invoke(1, "child", RunRequest(url=URL, run_id="child"))
    assert len(rows(admin_client.get(f"{BASE}/invocation/?open=yes"))) == 1

    cancel(child)

    assert rows(admin_client.get(f"{BASE}/invocation/?open=yes")) == []
    assert len(rows(admin_client.get(f"{BASE}/invocation/?open=no"))) == 1


@pytest.mark.parametrize(("asked", "found"), [("event", "paid"), ("webhook", "webhook")])
def test_webhooks_that_are_waited_for_are_told_from_events(
    admin_client: Client, asked: str, found: str
):
    hook.trigger()
    flows.wait.trigger()
    drain_here()

    assert len(rows(admin_client.get(f"{BASE}/waiter/"))) == 2
    (row,) = rows(admin_client.get(f"{BASE}/waiter/?for={asked}"))
    assert found in row


def test_a_webhook_of_another_service_is_told_too(admin_client: Client, run: RemoteRun):
    run.wait(1, "approval", "approved")
    waiter = Waiter.objects.get()
    said = waiter.step.replace('"stepType":"Wait"', '"stepType":"WaitForWebhook"')
    Waiter.objects.update(step=said)

    (row,) = rows(admin_client.get(f"{BASE}/waiter/?for=webhook"))

    assert row.startswith("approved webhook")


def test_where_nothing_waits_the_page_says_so(admin_client: Client, db: None):
    assert "There is nothing here at the moment." in read(admin_client.get(f"{BASE}/waiter/"))


def test_who_may_see_waits_alone_is_told_of_nothing_else(
    client_with: Callable[..., Client], run: RemoteRun
):
    events.notify_run(run.row, "denied", b"")

    page = read(client_with("view_waiter").get(f"{BASE}/waiter/"))

    assert "denied" not in page
    assert "Unclaimed events" not in page
    assert "Send event" not in page


def test_who_is_limited_is_told_of_their_workflows_alone(
    client_with: Callable[..., Client], run: RemoteRun
):
    run.wait(1, "approval", "approved", concurrent=2)
    run.invoke(2, "child", RunRequest(url=URL, run_id="child"), concurrent=2)
    events.notify_run(run.row, "denied", b"")
    client = client_with("view_waiter", "view_event", "view_invocation")
    group = Group.objects.create(name="nappers")
    WorkflowLimit.objects.create(group=group, workflow=flows.nap.name)
    User.objects.get(username="staff").groups.add(group)

    page = read(client.get(f"{BASE}/waiter/"))

    assert "Waiters 0 Unclaimed events 0 Open invocations 0" in page
    assert "denied" not in page
    assert "child" not in page


def test_the_page_of_waits_costs_as_many_queries_whatever_waits(
    admin_client: Client, run: RemoteRun, django_assert_max_num_queries
):
    for number in range(1, 7, 2):
        run.wait(number, "approval", f"approved-{number}", concurrent=2)
        run.invoke(number + 1, "child", RunRequest(url=URL, run_id=f"c{number}"), concurrent=2)
        events.notify_run(run.row, f"denied-{number}", b"")

    with django_assert_max_num_queries(16):
        admin_client.get(f"{BASE}/waiter/")
