"""`POST /v2/workflows/runs/{id}/pause` and `/resume`, and how logs tell of paused runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, answer_of
from workflows_app import Context
from workflows_app.engine import run_moves
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Run
from workflows_app.protocol.durations import unix_milliseconds

Tell = Callable[[str], Any]


@pytest.fixture
def tell(api: Api, registry: Register, work: Callable[[], int], clock: Clock) -> Tell:
    """Send a verb to the run "order-7", which sleeps for an hour."""

    @registry("nap")
    def nap(context: Context) -> None:
        context.sleep("nap", "1h")

    api.post(f"/v2/trigger/{serve_url('nap')}", upstash_workflow_runid="order-7")
    work()
    return lambda verb: api.post(f"/v2/workflows/runs/order-7/{verb}")


def state(name: str) -> tuple[int, dict[str, str]]:
    return 200, {"workflowRunId": "order-7", "state": name}


def test_a_run_is_paused_and_goes_on_when_it_is_resumed(tell: Tell, clock: Clock) -> None:
    assert answer_of(tell("pause")) == state("paused")
    assert answer_of(tell("pause")) == state("paused")
    clock.advance("1d")
    assert answer_of(tell("resume")) == state("waiting")
    assert answer_of(tell("resume")) == state("waiting")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_run_that_has_ended_is_not_told_anything(verb: str, tell: Tell) -> None:
    run_moves.cancel(Run.objects.get())

    assert answer_of(tell(verb)) == (
        400,
        {"error": "run order-7 has ended, and can be neither paused nor resumed"},
    )


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_run_of_nobody_or_of_another_account_is_not_found(
    verb: str, api: Api, stranger: Api, tell: Tell
) -> None:
    for asking, run_id in ((api, "order-8"), (stranger, "order-7")):
        assert answer_of(asking.post(f"/v2/workflows/runs/{run_id}/{verb}")) == (
            404,
            {"error": f'there is no run "{run_id}" in this account'},
        )
    assert Run.objects.get().paused_at is None


def test_logs_tell_since_when_a_run_is_paused_and_that_it_still_sleeps(
    api: Api, tell: Tell, clock: Clock
) -> None:
    tell("pause")
    since = unix_milliseconds(clock.now)
    clock.advance("1d")

    (run,) = api.get("/v2/workflows/logs").json()["runs"]
    assert (run["workflowState"], run["workflowRunPausedAt"]) == ("RUN_STARTED", since)
    assert [group["steps"][0]["state"] for group in run["steps"]] == [
        "STEP_SUCCESS",
        "STEP_PROGRESS",
    ]
    events = api.get("/v2/workflows/events").json()["events"]
    assert [each["state"] for each in events] == ["STEP_PROGRESS", "RUN_STARTED"]

    tell("resume")
    (run,) = api.get("/v2/workflows/logs").json()["runs"]
    assert "workflowRunPausedAt" not in run
