"""Messages and schedules for workflows of this site start their runs, without a server."""

from __future__ import annotations

import pytest

from tests.shells import Define
from workflows_app.engine import schedules
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Account
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


def scheduled(destination: str, body: bytes = b"") -> None:
    """Each day at nine."""
    headers = [("Upstash-Cron", "0 9 * * *"), ("Content-Type", "application/json")]
    schedules.create(Account.objects.default(), destination, headers, body, caller_ip="127.0.0.1")


def test_a_schedule_starts_a_run_at_each_of_its_times(define: Define, flows: WorkflowTest):
    @define("report")
    async def report(context):
        return context.request_payload

    scheduled(serve_url("report"), b'{"of": "sales"}')

    flows.advance("2d")

    assert [run.result for run in flows.runs(report)] == [{"of": "sales"}] * 2
    assert flows.sent == []


def test_a_schedule_for_another_site_is_a_request(flows: WorkflowTest):
    scheduled("https://other.example.org/")
    flows.answer_call("https://other.example.org/")

    flows.advance("1d")

    assert [request.url for request in flows.sent] == ["https://other.example.org/"]
