"""Runs worked on here that wait for events, over REST: their logs, waiters, events and webhooks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, answer_of
from workflows_app import Workflow
from workflows_app.engine import dead_letters, drain
from workflows_app.engine.forking import fork
from workflows_app.engine.step_targets import StepTarget
from workflows_app.models import DeadLetter, Run
from workflows_app.protocol.durations import unix_milliseconds

Json = dict[str, Any]


@pytest.fixture
def order(registry: Register) -> Workflow:
    @registry("order", retries=0)
    def order(context: Any) -> Any:
        paid = context.wait_for_event("payment", "paid", timeout="1h")
        return [paid.event_data, paid.timeout]

    return order


def begin(workflow: Workflow) -> Run:
    workflow.trigger(workflow_run_id="order")
    drain.drain_here()
    return Run.objects.get(run_id="order")


def steps(api: Api, run_id: str = "order") -> list[Json]:
    _, body = answer_of(api.get(f"/v2/workflows/logs?workflowRunId={run_id}"))
    (run,) = body["runs"]
    return [step for group in run["steps"][1:] for step in group["steps"]]


def events(api: Api) -> list[tuple[str, str, str]]:
    _, body = answer_of(api.get("/v2/workflows/events"))
    told = ((each["state"], each.get("stepInfo", {})) for each in reversed(body["events"]))
    return [(state, step.get("stepType", ""), step.get("waitEventId", "")) for state, step in told]


def test_a_wait_is_shown_from_its_beginning_to_its_end(api: Api, order: Workflow, clock: Clock):
    at = unix_milliseconds(clock.now)
    run = begin(order)
    shown = {
        "messageId": f"msg_r{run.pk}-1",
        "state": "STEP_PROGRESS",
        "stepId": 1,
        "stepName": "payment",
        "stepType": "Wait",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": {"Content-Type": ["application/json"]},
        "retries": 0,
        "waitEventId": "paid",
        "waitTimeoutDuration": "1h",
        "waitTimeoutDeadline": at + 3_600_000,
        "waitTimeout": False,
    }
    assert steps(api) == [shown]

    answer_of(api.post("/v2/notify/paid", b'{"amount":1}'))
    drain.drain_here()

    assert steps(api) == [{**shown, "state": "STEP_SUCCESS", "out": '{"amount":1}'}]


def test_a_wait_that_timed_out_says_so(api: Api, order: Workflow, clock: Clock):
    begin(order)
    clock.advance("1h")
    drain.drain_here()

    (step,) = steps(api)
    assert (step["state"], step["waitTimeout"]) == ("STEP_SUCCESS", True)
    assert "out" not in step


def test_events_tell_of_a_wait(api: Api, order: Workflow, clock: Clock):
    begin(order)
    clock.advance("1m")
    assert ("STEP_PROGRESS", "Wait", "paid") in events(api)

    answer_of(api.post("/v2/notify/paid"))
    assert ("STEP_SUCCESS", "Wait", "paid") in events(api)


def test_a_waiter_is_listed_and_notified_as_any_other(api: Api, order: Workflow, clock: Clock):
    run = begin(order)

    _, waiters = answer_of(api.get("/v2/waiters/paid"))
    status, notified = answer_of(api.post("/v2/notify/order/paid", b"now"))
    drain.drain_here()

    (waiter,) = waiters
    assert (waiter["url"], waiter["deadline"]) == (run.url, int(clock.now.timestamp()) + 3600)
    assert status == 200
    assert [(each["workflowRunId"], each["waiter"]) for each in notified] == [("order", waiter)]
    run.refresh_from_db()
    assert run.result == '["now",false]'


def test_notifications_and_webhooks_are_shown_by_their_types(api: Api, registry: Register):
    @registry("order")
    def order(context: Any) -> None:
        context.notify("tell", "paid", 1)
        webhook = context.create_webhook("hook")
        context.wait_for_webhook("call", webhook, "1h")

    begin(order)

    told = [(step["stepName"], step["stepType"], step["state"]) for step in steps(api)]
    assert told == [
        ("tell", "Notify", "STEP_SUCCESS"),
        ("hook", "CreateWebhook", "STEP_SUCCESS"),
        ("call", "WaitForWebhook", "STEP_PROGRESS"),
    ]


def test_a_webhook_outlives_the_failure_of_its_run_and_is_not_that_of_a_fork(
    api: Api, registry: Register
):
    works: list[bool] = []
    urls: list[str] = []

    @registry("order", retries=0)
    def order(context: Any) -> Any:
        webhook = context.create_webhook("hook")
        urls.append(webhook.webhook_url)
        context.run("check", lambda: 1 // len(works))
        request = context.wait_for_webhook("call", webhook).request
        return [request.method, request.url, request.payload]

    begin(order)
    works.append(True)
    resumed = dead_letters.resume(DeadLetter.objects.get())
    forked = fork(Run.objects.get(run_id="order"), StepTarget(name="check"))
    drain.drain_here()

    path = urls[0].removeprefix("http://127.0.0.1:8000")
    status, _ = answer_of(api.post(f"{path}?a=1", b'{"paid":true}'))
    drain.drain_here()

    resumed.refresh_from_db()
    forked.refresh_from_db()
    assert (status, forked.is_live) == (200, True)
    assert resumed.result == f'["POST","http://testserver{path}?a=1",{{"paid":true}}]'
