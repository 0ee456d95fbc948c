"""A trial ends in two weeks. Until then the run sleeps through deploys, and support may wake it, or
stop it.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.conftest import Clock
from tests.scenarios.conftest import Api
from tests.scenarios.workers import at_work, ended, wait_until
from workflows_app import Context, Workflow, workflow
from workflows_app.models import Message, Run, Step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mails() -> list[str]:
    return []


def deploy(mails: list[str], farewell: str) -> Workflow:
    """The code of a day: what steps do may change, not their names."""

    @workflow("trial")
    def trial(context: Context) -> str:
        user = context.request_payload["user"]
        context.run("welcome", mails.append, f"Welcome, {user}")
        context.sleep("trial", "2w")
        context.run("remind", mails.append, f"{farewell}, {user}")
        return "reminded"

    return trial


def asleep(run_id: str) -> bool:
    return Message.objects.filter(run__run_id=run_id, run__steps__key="trial", token=None).exists()


def test_a_reminder_is_sent_by_the_code_of_its_day(
    registry: Any, mails: list[str], clock: Clock, api: Api
) -> None:
    deploy(mails, "Goodbye").trigger({"user": "ada"}, workflow_run_id="trial-ada")
    with at_work():
        wait_until(lambda: asleep("trial-ada"))

    deploy(mails, "Please stay")
    clock.advance("13d")
    (shown,) = api.get("/v2/workflows/logs?workflowRunId=trial-ada")["runs"]
    assert shown["workflowState"] == "RUN_STARTED"
    clock.advance("1d")
    with at_work():
        run = ended("trial-ada")

    assert run.result == '"reminded"'
    assert mails == ["Welcome, ada", "Please stay, ada"]


def test_support_stops_a_trial(
    registry: Any, mails: list[str], clock: Clock, api: Api, admin: Client
) -> None:
    trial = deploy(mails, "Goodbye")
    trial.trigger({"user": "ada"}, workflow_run_id="trial-ada")
    trial.trigger({"user": "bob"}, workflow_run_id="trial-bob")
    with at_work():
        wait_until(lambda: asleep("trial-ada") and asleep("trial-bob"))
        api.delete("/v2/workflows/runs/trial-ada")
        clock.advance("2w")
        bob = ended("trial-bob")

    ada = Run.objects.get(run_id="trial-ada")
    assert (ada.status, bob.status) == ("canceled", "succeeded")
    assert sorted(mails) == ["Goodbye, bob", "Welcome, ada", "Welcome, bob"]
    page = admin.get("/admin/workflows_app/run/").content.decode()
    assert "trial-ada" in page
    assert "trial-bob" in page
    assert Step.objects.filter(run=ada).count() == 2
