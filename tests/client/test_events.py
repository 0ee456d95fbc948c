"""Sending events to runs of a real server, by both shells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from workflows_app.errors import InvalidInput

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workflows")]

Work = Callable[[], int]


def test_all_that_wait_for_an_event_are_woken(client: Any, work: Work):
    runs = {client.trigger("waits").workflow_run_id for _ in range(2)}
    work()

    notified = client.notify("paid", {"amount": 3})
    work()

    assert {each.workflow_run_id for each in notified} == runs
    assert all(each.waiter.workflow_run_id == each.workflow_run_id for each in notified)
    assert [client.get_run(run_id).result for run_id in runs] == [{"amount": 3}] * 2
    assert client.notify("paid") == ()


def test_one_run_alone_is_woken_also_before_it_waits(client: Any, server: str, work: Work):
    one = client.trigger("waits")
    other = client.trigger("waits")

    (notified,) = client.notify("paid", "for one", workflow_run_id=one.workflow_run_id)
    work()

    assert (notified.workflow_run_id, notified.waiter) == (one.workflow_run_id, None)
    assert notified.created_at == one.created_at
    assert client.get_run(one.workflow_run_id).result == "for one"
    assert client.get_run(other.workflow_run_id).is_live
    assert client.notify("paid", workflow_run_id="wfr_nobody") == ()


def test_who_waits_is_listed(client: Any, server: str, clock: Clock, work: Work):
    run = client.trigger("waits")
    assert client.get_waiters("paid") == ()
    work()

    (waiter,) = client.get_waiters("paid")

    assert waiter.workflow_run_id == run.workflow_run_id
    assert waiter.workflow_url == f"{server}/serve/waits"
    assert waiter.deadline == clock.now + timedelta(days=7)


def test_events_may_have_any_printable_name(client: Any):
    assert client.notify("größe & 100 %") == ()
    with pytest.raises(InvalidInput, match="event id"):
        client.notify("")
