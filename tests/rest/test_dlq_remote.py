"""The dead letter queue, for runs whose function lives elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Endpoint, answer_of
from tests.rest.remote_runs import URL, RemoteRun
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Run
from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.redaction import redacted

FAILURE_URL = "https://app.example/failed"


def fail(endpoint: Endpoint, run_id: str = "run", **options: Any) -> str:
    """Have a run fail by the answer 500; the id of its entry."""
    run = RemoteRun.start(endpoint, run_id, retries=0, **options)
    run.answered(500, b'{"error":"the reason"}', Server=["x"])
    return DeadLetter.objects.get(run=run.row).public_id


def entry(api: Api, dlq_id: str) -> Any:
    status, body = answer_of(api.get(f"/v2/workflows/dlq/{dlq_id}"))
    assert status == 200
    return body


def test_an_entry_shows_the_answer_that_failed_its_run(api: Api, clock: Clock, endpoint: Endpoint):
    at = unix_milliseconds(clock.now)
    dlq_id = fail(
        endpoint,
        body=b'{"a":1}',
        headers={"X-Tenant": "acme"},
        retry_delay="1000",
        labels=("shop",),
        failure_url=FAILURE_URL,
        failure_options=DeliveryOptions(headers={"X-Kind": "failure"}),
    )

    assert entry(api, dlq_id) == {
        "dlqId": dlq_id,
        "messageId": f"msg_r{Run.objects.get().pk}",
        "url": URL,
        "method": "POST",
        "header": {"Content-Type": ["application/json"], "X-Tenant": ["acme"]},
        "body": '{"a":1}',
        "maxRetries": 0,
        "retryDelayExpression": "1000",
        "notBefore": at,
        "createdAt": at,
        "callerIP": "",
        "workflowRunId": "run",
        "workflowCreatedAt": at,
        "workflowUrl": URL,
        "responseStatus": 500,
        "responseHeader": {"Server": ["x"]},
        "responseBody": '{"error":"the reason"}',
        "label": "shop",
        "labels": ["shop"],
        "failureCallback": FAILURE_URL,
        "failureCallbackHeader": {"X-Kind": ["failure"]},
        "failureCallbackInfo": {
            "state": "CALLBACK_SUCCESS",
            "responseStatus": 200,
            "responseHeaders": {"Upstash-Workflow-Sdk-Version": ["1"]},
            "responseBody": "",
        },
        "failureFunctionState": "CALLBACK_SUCCESS",
    }


def test_a_run_whose_failure_url_fails_too_has_one_entry(
    api: Api, clock: Clock, endpoint: Endpoint
):
    endpoint.answers_with(500)
    endpoint.answers_with(500, b"oops")
    RemoteRun.start(
        endpoint, retries=0, failure_url=FAILURE_URL, failure_options=DeliveryOptions(retries=0)
    )
    drain_here()

    (shown,) = api.get("/v2/dlq?source=workflow&workflowRunId=run").json()["messages"]
    assert shown["failureCallbackInfo"]["state"] == "CALLBACK_FAIL"
    assert shown["failureCallbackInfo"]["responseBody"] == "oops"

    retried = api.post(f"/v2/workflows/dlq/callback/{shown['dlqId']}")
    assert (retried.status_code, retried.json()["workflowRunId"]) == (200, "run")
    assert entry(api, shown["dlqId"])["failureFunctionState"] == "CALLBACK_INPROGRESS"
    drain_here()
    assert entry(api, shown["dlqId"])["failureFunctionState"] == "CALLBACK_SUCCESS"
    assert api.post(f"/v2/workflows/dlq/callback/{shown['dlqId']}").status_code == 400


def test_what_is_to_be_hidden_is_hidden_here_too(api: Api, clock: Clock, endpoint: Endpoint):
    dlq_id = fail(
        endpoint,
        body=b"\xff the secret",
        headers={"Authorization": "the key"},
        redaction="body,header[authorization]",
        failure_url=FAILURE_URL,
        failure_options=DeliveryOptions(headers={"Authorization": "the key"}),
    )

    shown = entry(api, dlq_id)
    assert shown["body"] == redacted(b"\xff the secret")
    assert shown["header"]["Authorization"] == [redacted(b"the key")]
    assert shown["failureCallbackHeader"] == {"Authorization": [redacted(b"the key")]}
    assert shown["responseBody"] == redacted(b'{"error":"the reason"}')
    assert "bodyBase64" not in shown
    assert shown == api.get("/v2/dlq?source=workflow").json()["messages"][0]


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_a_successor_gets_what_was_hidden_and_hides_it(
    api: Api, clock: Clock, endpoint: Endpoint, verb: str
):
    dlq_id = fail(endpoint, body=b"hi", headers={"X-Token": "t"}, redaction="body,header[X-Token]")
    endpoint.asked.clear()

    response = api.post(f"/v2/workflows/dlq/{verb}/{dlq_id}")
    drain_here()

    (delivery,) = endpoint.asked
    assert b'"body":"aGk="' in (delivery.body or b"")
    assert delivery.headers["X-Token"] == "t"
    run_id = response.json()["workflowRunId"]
    (log,) = api.get(f"/v2/workflows/logs?workflowRunId={run_id}").json()["runs"]
    assert log["steps"][0]["steps"][0]["out"] == redacted(b"hi")


def test_a_resumed_run_shows_the_steps_that_it_kept(api: Api, clock: Clock, endpoint: Endpoint):
    run = RemoteRun.start(endpoint, retries=0)
    run.publish(1, "one", out="1")
    drain_here(limit=1)
    run.answered(500)
    clock.advance("1h")
    dlq_id = DeadLetter.objects.get().public_id

    run_id = api.post(f"/v2/workflows/dlq/resume/{dlq_id}").json()["workflowRunId"]

    (log,) = api.get(f"/v2/workflows/logs?workflowRunId={run_id}").json()["runs"]
    states = [(step.get("stepName"), step["state"]) for g in log["steps"] for step in g["steps"]]
    assert states == [
        ("init", "STEP_SUCCESS"),
        ("one", "STEP_SUCCESS"),
        (None, "STEP_PROGRESS"),
    ]


def test_entries_are_found_by_the_status_of_the_answer(api: Api, clock: Clock, endpoint: Endpoint):
    dlq_id = fail(endpoint)
    other = RemoteRun.start(endpoint, "other", retries=0)
    other.answered(404)

    found = api.get("/v2/dlq?source=workflow&responseStatus=500").json()["messages"]
    assert [message["dlqId"] for message in found] == [dlq_id]
