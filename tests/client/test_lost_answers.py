"""A real server does what it is asked for, and its first answer is lost on the way."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.client.conftest import AT_ONCE, OpenClient
from tests.shells import Shell
from workflows_app.client import AnswerLost, Trigger
from workflows_app.models import Run, Schedule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workflows")]


class Losing(httpx.HTTPTransport):
    lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.lost:
            return response
        response.read()
        response.close()
        self.lost += 1
        raise httpx.ReadTimeout("timed out")


class AsyncLosing(httpx.AsyncHTTPTransport):
    lost = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if self.lost:
            return response
        await response.aread()
        await response.aclose()
        self.lost += 1
        raise httpx.ReadTimeout("timed out")


@pytest.fixture
def losing_client(server: str, open_client: OpenClient, shell: Shell) -> Any:
    transport = Losing() if shell is Shell.SYNC else AsyncLosing()
    return open_client(backoff=AT_ONCE, transport=transport)


def run_ids() -> list[str]:
    return sorted(Run.objects.values_list("run_id", flat=True))


def test_a_run_is_started_once_and_returned(losing_client: Any):
    started = losing_client.trigger("hello")

    assert run_ids() == [started.workflow_run_id]
    assert not started.deduplicated


def test_many_runs_are_started_once_and_returned(losing_client: Any):
    started = losing_client.trigger_many([Trigger("hello", n) for n in range(3)])

    assert sorted(run.workflow_run_id for run in started) == run_ids()
    payloads = [bytes(Run.objects.get(run_id=run.workflow_run_id).payload) for run in started]
    assert payloads == [b"0", b"1", b"2"]


def test_a_live_run_of_a_given_id_is_returned(losing_client: Any):
    started = losing_client.trigger("hello", workflow_run_id="order-7")

    assert run_ids() == [started.workflow_run_id] == ["order-7"]


def test_an_ended_run_of_a_given_id_is_not_taken_for_the_new_one(client: Any, losing_client: Any):
    client.trigger("sleeper", workflow_run_id="order-7")
    client.cancel("order-7")

    started = losing_client.trigger("sleeper", workflow_run_id="order-7")

    assert Run.objects.live().get().created_at.timestamp() == pytest.approx(
        started.created_at.timestamp(), abs=0.001
    )


def test_a_schedule_is_made_once(losing_client: Any):
    schedule_id = losing_client.schedules.create("hello", "0 9 * * *")

    assert [each.public_id for each in Schedule.objects.all()] == [schedule_id]


def test_what_was_cancelled_is_not_told(client: Any, losing_client: Any):
    client.trigger("sleeper", workflow_run_id="order-7")

    with pytest.raises(AnswerLost, match="may or may not have been done"):
        losing_client.cancel("order-7")

    assert not Run.objects.live().exists()
