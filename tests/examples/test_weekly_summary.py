"""A summary each week."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from django.test import Client as Browser
from pytest_django import Settings

from examples.weekly_summary import schedule_summary, send_weekly_summary, stop_summary
from workflows_app.client import Client
from workflows_app.conf import get_settings
from workflows_app.engine import accounts
from workflows_app.models import Account, Token
from workflows_app.testing import WorkflowTest

ADA = "ada@example.org"


def ask_this_site(request: httpx.Request) -> httpx.Response:
    """Without a network."""
    target = request.url.raw_path.decode()
    answer = Browser().generic(
        request.method, target, request.content, headers=dict(request.headers)
    )
    return httpx.Response(answer.status_code, content=answer.content, headers=dict(answer.items()))


@pytest.fixture
def client(workflows: WorkflowTest, settings: Settings) -> Iterator[Client]:
    settings.ALLOWED_HOSTS = ["*"]
    token = accounts.create_token(Account.objects.default(), "examples", Token.Scope.FULL)
    site = httpx.MockTransport(ask_this_site)
    with Client(get_settings().BASE_URL, token, transport=site) as client:
        yield client


def test_a_summary_tells_what_was_done(workflows: WorkflowTest):
    workflows.mock_step("count-solved-problems", returns=4)

    run = workflows.start(send_weekly_summary, {"email": ADA})

    assert run.result == f"to {ADA}: Problems solved this week: 4"


def test_who_has_signed_up_gets_one_each_week(workflows: WorkflowTest, client: Client):
    schedule_summary(client, ADA, workflows.now)

    workflows.advance("15d")

    began = [run.row.created_at for run in workflows.runs(send_weekly_summary)]
    assert len(began) == 2
    assert began[1] - began[0] == timedelta(days=7)


def test_who_signs_up_twice_gets_one_summary(workflows: WorkflowTest, client: Client):
    schedule_summary(client, ADA, workflows.now)
    schedule_summary(client, ADA, workflows.now)

    workflows.advance("8d")

    assert len(workflows.runs(send_weekly_summary)) == 1


def test_who_has_left_gets_none(workflows: WorkflowTest, client: Client):
    schedule_summary(client, ADA, workflows.now)
    stop_summary(client, ADA)

    workflows.advance("15d")

    assert workflows.runs() == []
