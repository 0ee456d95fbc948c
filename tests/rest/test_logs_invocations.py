"""Runs that invoke others by `context.invoke`, and those others, as logs and events show them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, answer_of
from workflows_app import Workflow
from workflows_app.engine import drain, run_moves
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Run
from workflows_app.protocol.durations import unix_milliseconds

Json = dict[str, Any]


@pytest.fixture
def pack(registry: Register) -> Workflow:
    @registry("pack", retries=0)
    def pack(context: Any) -> Any:
        context.sleep("rest", "1h")
        return {"packed": context.request_payload}

    return pack


@pytest.fixture
def order(registry: Register, pack: Workflow) -> Workflow:
    @registry("order", retries=0)
    def order(context: Any) -> Any:
        context.run("first", int, 1)
        return context.invoke("pack", workflow=pack, body="tea", headers={"X-A": "b"}).is_failed

    return order


def run_called(run_id: str) -> Run:
    return Run.objects.get(run_id=run_id)


def logged(api: Api, run_id: str = "order") -> Json:
    _, body = answer_of(api.get(f"/v2/workflows/logs?workflowRunId={run_id}"))
    (run,) = body["runs"]
    return dict(run)


def last_step(api: Api) -> Json:
    step: Json = logged(api)["steps"][-1]["steps"][0]
    return step


def told(api: Api) -> list[str]:
    return [
        f"{group['type']}: {step.get('stepName', '?')} {step['state']}"
        for group in logged(api)["steps"][1:]
        for step in group["steps"]
    ]


def test_an_invocation_shows_what_was_invoked_and_then_its_outcome(
    api: Api, order: Workflow, clock: Clock
):
    at = unix_milliseconds(clock.now)
    order.trigger(workflow_run_id="order")
    drain.drain_here()
    parent, child = run_called("order"), Run.objects.get(workflow="pack")

    shown = {
        "messageId": f"msg_r{parent.pk}-2",
        "state": "STEP_PROGRESS",
        "stepId": 2,
        "stepName": "pack",
        "stepType": "Invoke",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": {"Content-Type": ["application/json"]},
        "retries": 0,
        "invokedWorkflowRunId": child.run_id,
        "invokedWorkflowUrl": serve_url("pack"),
        "invokedWorkflowCreatedAt": at,
        "invokedWorkflowRunBody": '"tea"',
        "invokedWorkflowRunHeaders": {"X-A": ["b"], "Upstash-Workflow-Invoke-Count": ["1"]},
    }
    assert last_step(api) == shown
    assert told(api) == ["sequential: first STEP_SUCCESS", "sequential: pack STEP_PROGRESS"]

    clock.advance("1h")
    drain.drain_here()
    out = '{"body":"{\\"packed\\":\\"tea\\"}","isFailed":false,"isCanceled":false}'
    assert last_step(api) == {**shown, "state": "STEP_SUCCESS", "out": out}


def test_what_was_invoked_names_its_invoker(api: Api, order: Workflow, clock: Clock):
    order.trigger(workflow_run_id="order")
    drain.drain_here()
    child = Run.objects.get(workflow="pack")

    assert logged(api, child.run_id)["invoker"] == {
        "workflowRunId": "order",
        "workflowUrl": serve_url("order"),
        "workflowRunCreatedAt": unix_milliseconds(clock.now),
    }
    assert "invoker" not in logged(api)


def test_parallel_invocations_are_one_group(api: Api, registry: Register, pack: Workflow):
    @registry("orders")
    def orders(context: Any) -> Any:
        context.parallel(
            lambda: context.invoke("pack", workflow=pack),
            lambda: context.invoke("pack", workflow=pack),
        )

    orders.trigger(workflow_run_id="order")
    drain.drain_here()

    assert told(api) == ["parallel: pack STEP_PROGRESS"] * 2
    (group,) = logged(api)["steps"][1:]
    assert [(step["stepId"], step["concurrent"]) for step in group["steps"]] == [(1, 2), (2, 2)]


def test_a_run_that_is_canceled_cancels_what_it_waits_for(api: Api, order: Workflow, clock: Clock):
    order.trigger(workflow_run_id="order")
    drain.drain_here()
    run_moves.cancel(run_called("order"))
    assert told(api)[1:] == ["sequential: pack STEP_CANCELED"]

    clock.advance("1h")
    drain.drain_here()
    assert told(api)[1:] == ["sequential: pack STEP_SUCCESS", "next: ? STEP_CANCELED"]


def test_a_run_that_fails_learns_of_the_end_of_what_it_invoked_all_the_same(
    api: Api, registry: Register, pack: Workflow, clock: Clock
):
    """Upstash reference 4.10 (6)."""

    @registry("charge", retries=0)
    def charge(context: Any) -> Any:
        def fail() -> None:
            context.sleep("wait", "1m")
            raise ValueError("no money")

        context.parallel(lambda: context.invoke("pack", workflow=pack, body=1), fail)

    charge.trigger(workflow_run_id="order")
    drain.drain_here()
    clock.advance("1m")
    drain.drain_here()
    assert "parallel: pack STEP_PROGRESS" in told(api)

    clock.advance("1h")
    drain.drain_here()
    assert "parallel: pack STEP_SUCCESS" in told(api)
    (invoked,) = (
        step
        for group in logged(api)["steps"]
        for step in group["steps"]
        if step.get("stepType") == "Invoke"
    )
    assert invoked["out"] == '{"body":"{\\"packed\\":1}","isFailed":false,"isCanceled":false}'


def test_what_the_invoked_run_hides_is_hidden_in_its_invoker_s_log(
    api: Api, registry: Register, pack: Workflow, clock: Clock
):
    @registry("order", retries=0)
    def order(context: Any) -> Any:
        context.invoke("pack", workflow=pack, workflow_run_id="secret")

    pack.trigger("tea", workflow_run_id="secret", redact="body")
    order.trigger(workflow_run_id="order")
    drain.drain_here()
    clock.advance("1h")
    drain.drain_here()

    assert "tea" not in str(logged(api))
    assert last_step(api)["out"].startswith('{"body":"REDACTED')
    _, events = answer_of(api.get("/v2/workflows/events?workflowRunId=order"))
    assert "tea" not in str(events)
    assert [each["stepInfo"]["out"] for each in events["events"] if "out" in str(each)] == [
        last_step(api)["out"]
    ]


def test_events_tell_of_an_invocation_from_its_beginning_to_its_end(
    api: Api, order: Workflow, clock: Clock
):
    order.trigger(workflow_run_id="order")
    drain.drain_here()
    child = Run.objects.get(workflow="pack")
    clock.advance("1h")
    drain.drain_here()

    _, body = answer_of(api.get("/v2/workflows/events?workflowRunId=order"))
    told = [(each["state"], each.get("stepInfo", {}).get("stepType")) for each in body["events"]]
    assert told == [
        ("RUN_SUCCESS", None),
        ("STEP_SUCCESS", "Invoke"),
        ("STEP_SUCCESS", "Run"),
        ("STEP_PROGRESS", "Invoke"),
        ("RUN_STARTED", None),
    ]
    begun = body["events"][3]["stepInfo"]
    assert (begun["stepName"], begun["invokedWorkflowRunId"]) == ("pack", child.run_id)
