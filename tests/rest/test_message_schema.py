"""Real answers of the routes of plain messages are as /schema/ describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # publishes no types

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty
from tests.rest.messages import URL, dead, events, publish
from tests.rest.test_schema import Json, closed, schema

__all__ = ["schema"]

Work = Callable[[], int]

OPTIONS = {
    "upstash_retries": "0",
    "upstash_retry_delay": "1000",
    "upstash_timeout": "30s",
    "upstash_label": "a,b",
    "upstash_forward_a": "b",
    "upstash_callback": "https://a.example.org/called",
    "upstash_callback_forward_a": "b",
    "upstash_failure_callback": "https://a.example.org/failed",
    "upstash_failure_callback_forward_a": "b",
    "upstash_flow_control_key": "shop",
    "upstash_flow_control_value": "parallelism=5, rate=100, period=1m",
}
ENDPOINTS = (
    '{"endpoints":[{"url":"https://a.example.org/","name":"a"},{"url":"https://b.example.org/"}]}'
)


@pytest.fixture
def everything(api: Api, third_party: ThirdParty, work: Work, clock: Clock) -> dict[str, str]:
    """A bit of all that can be shown; the ids of some."""
    api.post("/v2/topics/all/endpoints", ENDPOINTS)
    scheduled = api.post(
        "/v2/schedules/all", "x", upstash_cron="0 * * * *", upstash_queue_name="line", **OPTIONS
    ).json()
    api.post("/v2/schedules/all", b"\xff", upstash_cron="0 * * * *")
    clock.advance("1h")
    third_party.answers_with(404, b"\xff", A=["b"])
    third_party.answers = third_party.answers * 50
    work()
    publish(api, body=b"\xff", upstash_delay="1h")
    return {
        "message": events(api, f"?scheduleId={scheduled['scheduleId']}")[0]["messageId"],
        "dead": dead(api)[0]["dlqId"],
        "schedule": scheduled["scheduleId"],
    }


@pytest.mark.parametrize(
    ("method", "path", "described", "body"),
    [
        ("GET", "/v2/messages/{message}", "/v2/messages/{message_id}", ""),
        ("DELETE", "/v2/messages", "/v2/messages", ""),
        ("GET", "/v2/events", "/v2/events", ""),
        ("GET", "/v2/events?count=1", "/v2/events", ""),
        ("GET", "/v2/logs", "/v2/logs", ""),
        ("GET", "/v2/dlq", "/v2/dlq", ""),
        ("GET", "/v2/dlq?source=workflow", "/v2/dlq", ""),
        ("GET", "/v2/dlq/{dead}", "/v2/dlq/{dlq_id}", ""),
        ("DELETE", "/v2/dlq?count=1", "/v2/dlq", ""),
        ("DELETE", "/v2/dlq/{dead}", "/v2/dlq/{dlq_id}", ""),
        ("POST", "/v2/dlq/retry?count=1", "/v2/dlq/retry", ""),
        ("POST", "/v2/dlq/retry/{dead}", "/v2/dlq/retry/{dlq_id}", ""),
        ("GET", "/v2/queues", "/v2/queues", ""),
        ("POST", "/v2/queues", "/v2/queues", '{"queueName":"other"}'),
        ("GET", "/v2/queues/line", "/v2/queues/{queue}", ""),
        ("POST", "/v2/queues/line/pause", "/v2/queues/{queue}/pause", ""),
        ("GET", "/v2/topics", "/v2/topics", ""),
        ("GET", "/v2/topics/all", "/v2/topics/{name}", ""),
        ("PATCH", "/v2/topics/all", "/v2/topics/{name}", '{"headers":{"Upstash-Label":"a"}}'),
        ("POST", "/v2/topics/all/endpoints", "/v2/topics/{name}/endpoints", ENDPOINTS),
        ("GET", "/v2/schedules", "/v2/schedules", ""),
        ("GET", "/v2/schedules/{schedule}", "/v2/schedules/{schedule}", ""),
        ("PATCH", "/v2/schedules/{schedule}/pause", "/v2/schedules/{schedule}/pause", ""),
        ("DELETE", "/v2/schedules/{schedule}", "/v2/schedules/{schedule}", ""),
    ],
)
def test_an_answer_is_as_described(
    api: Api,
    everything: dict[str, str],
    schema: Json,
    method: str,
    path: str,
    described: str,
    body: str,
):
    asked = path.format(**everything)
    response: Any = api.get(asked) if method == "GET" else api._send(method, asked, body, {})

    answers = schema["paths"][described][method.lower()]["responses"]
    content = answers[str(response.status_code)]["content"]["application/json"]
    errors = Draft4Validator(closed(content["schema"])).iter_errors(response.json())
    assert [error.message for error in errors] == []
    assert response.status_code in (200, 201)


def test_failed_runs_among_them_are_as_described(api: Api, schema: Json, broken: str, work: Work):
    api.post(f"/v2/trigger/{broken}", '"x"', upstash_failure_callback="https://a.example.org/")
    work()

    response = api.get("/v2/dlq?source=workflow")

    content = schema["paths"]["/v2/dlq"]["get"]["responses"]["200"]["content"]
    described = closed(content["application/json"]["schema"])
    assert len(response.json()["messages"]) == 1
    assert list(Draft4Validator(described).iter_errors(response.json())) == []


def test_what_is_published_is_answered_as_described(api: Api, schema: Json):
    api.post("/v2/topics/all/endpoints", ENDPOINTS)

    for destination in (URL, "all"):
        response = api.post(f"/v2/publish/{destination}", "x", upstash_deduplication_id="7")
        content = schema["paths"]["/v2/publish/{destination}"]["post"]["responses"]["200"][
            "content"
        ]
        described = closed(content["application/json"]["schema"])
        assert list(Draft4Validator(described).iter_errors(response.json())) == []
