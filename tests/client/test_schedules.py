"""Starting runs again and again on a real server, by both shells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from workflows_app.client import FlowControlSpec, NotOnServer, RequestRefused
from workflows_app.errors import InvalidInput
from workflows_app.models import Run
from workflows_app.models import Schedule as Row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workflows")]

Work = Callable[[], int]


def test_a_run_is_started_at_each_time(client: Any, server: str, clock: Clock, work: Work):
    schedule_id = client.schedules.create("hello", "0 9 * * *", {"daily": True}, labels="nightly")
    work()
    clock.advance("1d")
    work()

    schedule = client.schedules.get(schedule_id)

    assert (schedule.schedule_id, schedule.cron) == (schedule_id, "0 9 * * *")
    assert (schedule.destination, schedule.body) == (f"{server}/serve/hello", {"daily": True})
    assert (schedule.labels, schedule.is_paused, schedule.error) == (("nightly",), False, None)
    assert schedule.created_at == clock.now - timedelta(days=1)
    assert schedule.last_at == clock.now.replace(hour=9)
    assert schedule.next_at == clock.now.replace(hour=9) + timedelta(days=1)
    assert list(schedule.last_states.values()) == ["SUCCESS"]
    assert client.schedules.list() == (schedule,)
    assert [run.result for run in Run.objects.all()] == ['{"hello":{"daily":true}}']


def test_all_that_is_said_of_a_schedule_arrives(client: Any):
    url = "https://shop.example.org/a//b/report?day=1&x=%20"
    schedule_id = client.schedules.create(
        url,
        "CRON_TZ=Europe/Berlin 0 9 * * 1-5",
        b"\xff",
        schedule_id="report",
        headers={"X-Kind": "short", "Content-Type": "text/plain"},
        method="PUT",
        queue="reports",
        retries=2,
        retry_delay="500",
        delay="1m",
        timeout="30s",
        flow_control=FlowControlSpec(key="shop", parallelism=2),
        callback="https://shop.example.org/done",
        failure_url="https://shop.example.org/failed",
    )

    schedule = client.schedules.get(schedule_id)

    said = {
        "scheduleId": "report",
        "destination": url,
        "method": "PUT",
        "queueName": "reports",
        "retries": 2,
        "retryDelayExpression": "500",
        "delay": 60,
        "timeout": 30,
        "flowControlKey": "shop",
        "parallelism": 2,
        "callback": "https://shop.example.org/done",
        "failureCallback": "https://shop.example.org/failed",
        "bodyBase64": "/w==",
        "header": {"Content-Type": ["text/plain"], "X-Kind": ["short"]},
    }
    assert schedule.queue == "reports"
    assert schedule.body is None
    assert said.items() <= schedule.raw.items()


def test_a_schedule_is_paused_resumed_given_anew_and_deleted(client: Any):
    client.schedules.create("hello", "0 9 * * *", schedule_id="daily")

    client.schedules.pause("daily")
    assert client.schedules.get("daily").is_paused
    client.schedules.resume("daily")
    assert not client.schedules.get("daily").is_paused
    client.schedules.create("hello", "0 10 * * *", schedule_id="daily")
    assert [each.cron for each in client.schedules.list()] == ["0 10 * * *"]
    client.schedules.delete("daily")

    assert client.schedules.list() == ()
    with pytest.raises(NotOnServer, match="daily"):
        client.schedules.get("daily")


def test_what_cannot_be_a_schedule_is_refused(client: Any):
    with pytest.raises(RequestRefused, match="Upstash-Cron"):
        client.schedules.create("hello", "every morning")
    with pytest.raises(TypeError, match="not_before"):
        client.schedules.create("hello", "0 9 * * *", not_before=1)
    with pytest.raises(InvalidInput, match="X-Key holds characters") as refused:
        client.schedules.create("hello", "0 9 * * *", headers={"X-Key": "sécret"})
    assert "cret" not in str(refused.value)
    with pytest.raises(InvalidInput, match="schedule_id is empty"):
        client.schedules.delete("")

    assert not Row.objects.exists()
