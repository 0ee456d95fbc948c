"""Sending events, to one run and to all that wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin import flows
from tests.admin.conftest import run_called
from tests.admin.pages import messages, read, shows
from workflows_app.engine.drain import drain_here
from workflows_app.models import Account, Event, Run, Waiter, WorkflowLimit
from workflows_app.protocol.codec import decode_json

BASE = "/admin/workflows_app"
SEND = f"{BASE}/waiter/send/"


@pytest.fixture
def waiting(db: None) -> Run:
    flows.wait.trigger(workflow_run_id="order-1")
    drain_here()
    return run_called("order-1")


def given_to(run: Run) -> object:
    drain_here()
    run.refresh_from_db()
    assert run.result is not None
    return decode_json(run.result)


def test_an_event_is_sent_to_one_run(admin_client: Client, waiting: Run):
    address = f"{BASE}/run/{waiting.pk}/notify/"

    asked = admin_client.get(address)
    page = admin_client.post(
        address, {"event_id": "paid", "content": '{"by": "card"}', "kind": "json"}, follow=True
    )

    assert "The run waits for: paid." in read(asked)
    assert shows(asked, "paid")
    assert messages(page) == ["Event “paid” reached step payment of run order-1."]
    assert page.request["PATH_INFO"] == f"{BASE}/run/{waiting.pk}/change/"
    assert LogEntry.objects.get().object_id == str(waiting.pk)
    assert given_to(waiting) == {"by": "card"}


def test_a_text_arrives_as_it_was_typed(admin_client: Client, waiting: Run):
    address = f"{BASE}/run/{waiting.pk}/notify/"

    admin_client.post(address, {"event_id": "paid", "content": "42", "kind": "text"})

    assert given_to(waiting) == "42"


def test_an_event_that_the_run_does_not_wait_for_yet_is_kept(admin_client: Client, waiting: Run):
    address = f"{BASE}/run/{waiting.pk}/notify/"

    page = admin_client.post(address, {"event_id": "seen", "kind": "json"}, follow=True)

    assert messages(page) == [
        "Event “seen” is kept for run order-1, which does not wait for it yet."
    ]
    assert Event.objects.get().event_id == "seen"


def test_a_run_that_has_ended_takes_no_events(admin_client: Client, failed_run: Run):
    address = f"{BASE}/run/{failed_run.pk}/notify/"

    page = admin_client.post(address, {"event_id": "paid", "kind": "json"})

    assert "run card-5 has ended already and takes no events" in read(page)
    assert "The run waits for no event at the moment." in read(page)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"event_id": "", "kind": "json"}, "This field is required."),
        ({"event_id": "a\nb", "kind": "json"}, "an event id is a text of 1 to"),
        ({"event_id": "paid", "content": "{", "kind": "json"}, "This is not JSON"),
    ],
)
def test_what_is_no_event_is_refused(
    admin_client: Client, waiting: Run, form: dict[str, str], complaint: str
):
    for address in (f"{BASE}/run/{waiting.pk}/notify/", SEND):
        assert complaint in read(admin_client.post(address, form))
    assert Waiter.objects.exists()


def test_an_event_is_sent_to_all_that_wait(admin_client: Client, waiting: Run):
    flows.wait.trigger(workflow_run_id="order-2")
    drain_here()

    asked = read(admin_client.get(f"{SEND}?event=paid"))
    page = admin_client.post(
        SEND, {"event_id": "paid", "content": "7", "kind": "json"}, follow=True
    )

    assert "2 steps wait for it now." in asked
    assert messages(page) == ["Event “paid” reached 2 runs."]
    assert page.request["PATH_INFO"] == f"{BASE}/waiter/"
    assert LogEntry.objects.count() == 2
    assert given_to(waiting) == given_to(run_called("order-2")) == 7


def test_an_event_that_nobody_waits_for_is_not_sent(admin_client: Client, waiting: Run):
    page = admin_client.post(SEND, {"event_id": "seen", "kind": "json"})

    assert "Nobody waits for this event, so nothing was sent." in read(page)
    assert not Event.objects.exists()


def test_of_several_accounts_one_is_chosen(admin_client: Client, waiting: Run):
    other = Account.objects.create(name="other")
    form = {"event_id": "paid", "kind": "json"}

    to_other = admin_client.post(SEND, {**form, "account": str(other.pk)})
    page = admin_client.post(SEND, {**form, "account": str(waiting.account_id)}, follow=True)

    assert "Nobody waits" in read(to_other)
    assert messages(page) == ["Event “paid” reached 1 run."]


def test_who_is_limited_reaches_the_runs_of_their_workflows_alone(
    client_with: Callable[..., Client], waiting: Run
):
    client = client_with("notify_run", "view_waiter")
    group = Group.objects.create(name="nappers")
    WorkflowLimit.objects.create(group=group, workflow=flows.nap.name)
    User.objects.get(username="staff").groups.add(group)

    asked = read(client.get(f"{SEND}?event=paid"))
    page = client.post(SEND, {"event_id": "paid", "kind": "json"})
    one = client.post(f"{BASE}/run/{waiting.pk}/notify/", {"event_id": "paid", "kind": "json"})

    assert "0 steps wait for it now." in asked
    assert "Nobody waits" in read(page)
    assert one.status_code == 404
    assert Waiter.objects.count() == 1


def test_who_may_only_look_sends_nothing(client_with: Callable[..., Client], waiting: Run):
    client = client_with("view_run", "view_waiter", "change_waiter")

    for address in (f"{BASE}/run/{waiting.pk}/notify/", SEND):
        assert client.get(address).status_code == 403
        assert client.post(address, {"event_id": "paid", "kind": "json"}).status_code == 403


def test_an_address_that_names_no_possible_event_is_no_error(admin_client: Client):
    assert admin_client.get("/admin/workflows_app/waiter/send/?event=%00").status_code == 200
