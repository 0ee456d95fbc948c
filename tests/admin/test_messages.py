"""Owed work."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.pages import read, rows
from tests.conftest import Clock
from workflows_app import FlowControlSpec
from workflows_app.engine import leases
from workflows_app.engine.drain import drain_here
from workflows_app.models import Message, Run

URL = "/admin/workflows_app/message/"


@pytest.fixture
def backlog(sleeping_run: Run, clock: Clock) -> None:
    """Work in each state: asleep, a call under way and a run that waits for it, and due."""
    flows.ask.trigger(workflow_run_id="ask-1")
    drain_here(limit=1)
    leases.claim(1)
    limit = FlowControlSpec(key="reports", parallelism=1)
    flows.order.trigger(workflow_run_id="order-1", flow_control=limit)
    clock.advance("5s")


def test_each_message_says_when_it_is_due_and_who_has_it(admin_client: Client, backlog: None):
    assert sorted(rows(admin_client.get(URL))) == [
        "Call admin-ask ask-1 ask-registry being delivered held for another 10 s 1 -",
        "Turn admin-ask ask-1 - when it is woken free 1 -",
        "Turn admin-nap nap-1 - in 7 h 59 min free 1 -",
        "Turn admin-order order-1 - now, for 5 s free 0 reports",
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=due", ["order-1"]),
        ("state=leased", ["ask-1"]),
        ("state=timed", ["nap-1"]),
        ("state=waiting", ["ask-1"]),
        ("kind__exact=call", ["ask-1"]),
        ("q=nap", ["nap-1"]),
        ("q=ap-1", []),
    ],
)
def test_messages_are_found_by_state_kind_and_run(
    admin_client: Client, backlog: None, query: str, found: list[str]
):
    listed = rows(admin_client.get(f"{URL}?{query}"))

    assert [run for row in listed for run in ("order-1", "ask-1", "nap-1") if run in row] == found


def test_a_lease_that_ran_out_is_told(admin_client: Client, backlog: None, clock: Clock):
    clock.advance("1m")

    assert (
        "Call admin-ask ask-1 ask-registry now, for 50 s ran out: its worker has gone 1 -"
        in rows(admin_client.get(URL))
    )


def test_the_page_of_a_message_keeps_the_credentials_it_carries_to_itself(
    admin_client: Client, backlog: None
):
    call = Message.objects.get(kind="call")

    answer = admin_client.get(f"{URL}{call.pk}/change/")

    assert "top-secret" in call.request
    assert "top-secret" not in answer.content.decode()
    assert "ask-registry" in read(answer)


def test_messages_are_only_looked_at(admin_client: Client, backlog: None):
    call = Message.objects.get(kind="call")

    answers = [
        admin_client.get(f"{URL}add/").status_code,
        admin_client.post(f"{URL}{call.pk}/change/", {"kind": "turn"}).status_code,
        admin_client.post(f"{URL}{call.pk}/delete/", {"post": "yes"}).status_code,
    ]

    assert answers == [403, 403, 403]


def test_the_number_of_queries_does_not_grow_with_the_backlog(
    admin_client: Client, django_assert_num_queries, django_assert_max_num_queries, backlog: None
):
    with django_assert_max_num_queries(10) as few:
        admin_client.get(URL)
    flows.order.trigger_many([None] * 10)

    with django_assert_num_queries(len(few)):
        admin_client.get(URL)
