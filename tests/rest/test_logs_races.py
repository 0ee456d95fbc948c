"""Steps of branches that have lost a race, over REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, answer_of
from workflows_app import Workflow
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import drain_here
from workflows_app.engine.leases import claim
from workflows_app.models import Message

Json = dict[str, Any]


@pytest.fixture
def race(registry: Register) -> Workflow:
    @registry("other")
    def other(context: Any) -> None:
        context.sleep("night", "2d")

    @registry("race", retries=1, retry_delay="7200000")
    def race(context: Any) -> Any:
        def nap() -> str:
            context.sleep("hour", "1h")
            return "an hour has passed"

        first = context.race(
            lambda: context.wait_for_event("approval", "approved", timeout="2d"),
            lambda: context.call("ask", url="https://registry.example/people"),
            lambda: context.invoke("rest", workflow=other),
            lambda: context.run("charge", int, "no number"),
            lambda: context.sleep("month", "30d"),
            nap,
        )
        context.sleep("later", "1d")
        return first

    return race


def play(race: Workflow, clock: Clock) -> None:
    race.trigger(workflow_run_id="race")
    deliver(claim(1)[0])
    Message.objects.filter(kind="call").update(due_at=clock.advance("2h"))
    drain_here()


def test_what_has_lost_is_canceled(api: Api, race: Workflow, clock: Clock):
    play(race, clock)

    _, body = answer_of(api.get("/v2/workflows/logs?workflowRunId=race"))

    (run,) = body["runs"]
    steps = {step["stepName"]: step for group in run["steps"][1:] for step in group["steps"]}
    assert {name: step["state"] for name, step in steps.items()} == {
        "approval": "STEP_CANCELED",
        "ask": "STEP_CANCELED",
        "rest": "STEP_CANCELED",
        "charge": "STEP_CANCELED",
        "month": "STEP_CANCELED",
        "hour": "STEP_SUCCESS",
        "race": "STEP_SUCCESS",
        "later": "STEP_PROGRESS",
    }
    assert "callResponseStatus" not in steps["ask"]
    assert "out" not in steps["rest"]
    assert "errors" not in steps["approval"]
    assert len(steps["charge"]["errors"]) == 1


def test_events_tell_what_was_canceled(api: Api, race: Workflow, clock: Clock):
    play(race, clock)

    _, body = answer_of(api.get("/v2/workflows/events?state=STEP_CANCELED"))

    names = {event["stepInfo"]["stepName"] for event in body["events"]}
    assert names == {"approval", "ask", "rest", "charge", "month"}
