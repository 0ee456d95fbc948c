"""What REST tells of sensitive steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.rest.conftest import Api, Register, answer_of
from workflows_app import Context, get_workflow
from workflows_app.models import Step

Work = Callable[[], int]

SECRET = "hunter2"


def decline(secret: str) -> None:
    raise ConnectionError(f"{secret} has expired")


@pytest.fixture
def failed(db: None, registry: Register, work: Work) -> None:
    """A run with two sensitive steps, the second of which fails for good."""

    @registry("secret", retries=1, retry_delay="0")
    def secret(context: Context) -> None:
        secretive = context.options(sensitive=True)
        token = secretive.run("token", str.lower, SECRET)
        secretive.run("pay", decline, token)

    get_workflow("secret").trigger(workflow_run_id="run")
    work()
    assert Step.objects.get(key="token").result == f'"{SECRET}"'


@pytest.mark.parametrize("path", ["logs", "events", "dlq"])
def test_no_route_shows_what_a_sensitive_step_was_given_returned_or_raised(
    api: Api, failed: None, path: str
) -> None:
    response = api.get(f"/v2/workflows/{path}")

    assert response.status_code == 200
    assert SECRET not in response.content.decode()


def test_the_log_and_the_events_say_that_there_is_a_result(api: Api, failed: None) -> None:
    _, logs = answer_of(api.get("/v2/workflows/logs"))
    _, events = answer_of(api.get("/v2/workflows/events?state=STEP_SUCCESS"))

    (run,) = logs["runs"]
    outs: list[Any] = [step["out"] for group in run["steps"][1:2] for step in group["steps"]]
    assert outs == ["[REDACTED]"]
    assert [event["stepInfo"]["out"] for event in events["events"]] == ["[REDACTED]"]


def test_an_attempt_says_only_of_what_type_its_error_was(api: Api, failed: None) -> None:
    _, events = answer_of(api.get("/v2/workflows/events?state=STEP_FAILED"))

    assert [event["error"] for event in events["events"]] == ["ConnectionError: [REDACTED]"]
