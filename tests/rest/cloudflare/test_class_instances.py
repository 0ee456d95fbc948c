"""Instances of class-based workflows, as the dialect shows what their authors say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rest.cloudflare.conftest import CloudflareApi, result_of
from tests.rest.conftest import Register
from workflows_app import WorkflowEntrypoint, WorkflowEvent, WorkflowStep, WorkflowTimeoutError
from workflows_app.testing import WorkflowTest

ONCE: Any = {"retries": {"limit": 0, "delay": 1}}


@pytest.fixture
def flows(db: None, registry: Register) -> Iterator[WorkflowTest]:
    class Order(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> None:
            @step.do("charge", rollback=print, config={"timeout": "1 minute"})
            def charge(ctx: Any) -> dict[str, Any]:
                if ctx.attempt == 1:
                    raise ConnectionError("busy")
                return {"order": event["payload"]["id"]}

            await charge()
            await step.do("token", lambda: "secret", {**ONCE, "sensitive": "output"})
            await step.wait_for_event("approval", "approved", timeout="1 hour")
            try:
                await step.wait_for_event("nothing", "never", timeout="1 second")
            except WorkflowTimeoutError:
                await step.do("ship", lambda: [][0], ONCE)

    with WorkflowTest() as flows:
        yield flows


def test_steps_are_shown_as_their_author_configured_them(
    flows: WorkflowTest, cloudflare: CloudflareApi
) -> None:
    cloudflare.post("Order/instances", {"instance_id": "order-7", "params": '{"id":7}'})
    flows.work()
    flows.advance("10s")
    cloudflare.post("Order/instances/order-7/events/approved", {"by": "ada"})
    flows.advance("1s")

    shown = result_of(cloudflare.get("Order/instances/order-7"))

    assert (shown["status"], shown["rollback"]["outcome"]) == ("errored", "complete")
    assert shown["error"] == {"name": "IndexError", "message": "list index out of range"}
    steps = {(each["type"], each["name"]): each for each in shown["steps"]}
    charge = steps["step", "charge-1"]
    assert charge["config"] == {
        "retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"},
        "timeout": 60_000,
    }
    assert [attempt["success"] for attempt in charge["attempts"]] == [False, True]
    assert charge["attempts"][0]["error"] == {"name": "ConnectionError", "message": "busy"}
    assert steps["step", "token-1"]["output"] == "[REDACTED]"
    assert steps["waitForEvent", "approval-1"]["event_type"] == "approved"
    assert steps["waitForEvent", "nothing-1"]["error"] == {
        "name": "WorkflowTimeoutError",
        "message": "Execution timed out after 1000ms",
    }
    assert steps["rollback", "charge-1"]["success"] is True
