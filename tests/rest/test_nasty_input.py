"""Whatever a caller writes, the answer is a sentence and never a 5xx."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.rest.conftest import Api
from workflows_app.models import Run
from workflows_app.rest.upstash import dlq, runs
from workflows_app.rest.upstash.trigger import ROUTE

NASTY = [
    "",
    " ",
    "\x00",
    "\x7f",
    "'; DROP TABLE workflows_app_run; --",
    "\\",
    "(((",
    "[" * 3000,
    "a" * 5000,
    "*" * 50,
    "9" * 30,
    "9" * 18,
    "-1",
    "1e9",
    "١٢",
    "ü",
    "\U0001f600",
    "null",
    "true",
    "https://",
    "https://user:password@host.example/",
    "https://[::1",
    "https://host.example:99999/",
    "@1",
    "a@" + "9" * 14,
]
NAMES = sorted({*dlq.FILTERS, *runs.FILTERS, "trimBody", "groupBy", "source", "cancel"})


def is_a_sentence(response: Any) -> bool:
    if response.status_code < 400:
        return True
    body = response.json()
    return response.status_code < 500 and list(body) == ["error"] and len(body["error"]) < 2000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/workflows/logs"),
        ("GET", "/v2/workflows/dlq"),
        ("DELETE", "/v2/workflows/runs"),
        ("DELETE", "/v2/workflows/dlq"),
        ("POST", "/v2/workflows/dlq/resume"),
    ],
)
def test_no_filter_breaks_a_list_or_a_bulk_verb(
    api: Api, broken, work, method: str, path: str, name: str
):
    for value in NASTY:
        query = f"{path}?{name}={quote(value)}"
        response = api.get(query) if method == "GET" else api._send(method, query, "", {})
        assert is_a_sentence(response), (value, response.content)


@pytest.mark.parametrize("value", [value for value in NASTY if "\x00" not in value])
@pytest.mark.parametrize(
    "header",
    [
        "Upstash-Workflow-RunId",
        "Upstash-Delay",
        "Upstash-Not-Before",
        "Upstash-Retries",
        "Upstash-Retry-Delay",
        "Upstash-Timeout",
        "Upstash-Label",
        "Upstash-Failure-Callback",
        "Upstash-Flow-Control-Key",
        "Upstash-Flow-Control-Value",
        "Upstash-Forward-X-Y",
        "Upstash-Callback-Callback-Callback-Delay",
        "Content-Type",
    ],
)
def test_no_header_breaks_a_trigger(api: Api, hello, header: str, value: str):
    headers = {
        "Upstash-Flow-Control-Key": "k",
        "Upstash-Flow-Control-Value": "rate=1",
        header: value,
    }
    item = {"destination": hello, "headers": headers, "body": "x"}

    batch = api.post("/v2/batch/trigger", json.dumps([item]))

    assert is_a_sentence(batch), batch.content
    assert batch.status_code == 201 or Run.objects.count() == 0


@pytest.mark.parametrize("value", NASTY)
def test_no_destination_breaks_a_trigger(api: Api, value: str):
    raw = api.post(f"{ROUTE}{quote(value)}")
    batched = api.post("/v2/batch/trigger", json.dumps([{"destination": value}]))

    assert is_a_sentence(raw), raw.content
    assert is_a_sentence(batched), batched.content


@pytest.mark.parametrize("value", NASTY[1:])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v2/workflows/runs/"),
        ("GET", "/v2/workflows/dlq/"),
        ("POST", "/v2/workflows/dlq/resume/"),
        ("POST", "/serve/"),
    ],
)
def test_no_id_breaks_a_route(api: Api, method: str, path: str, value: str):
    target = f"{path}{quote(value, safe='')}"

    response = api.get(target) if method == "GET" else api._send(method, target, "", {})

    assert is_a_sentence(response), response.content


@pytest.mark.parametrize("value", NASTY)
def test_no_token_breaks_authentication(db, value: str):
    response = Api("").get(f"/v2/keys?qstash_token={quote(value)}")

    assert response.status_code == 401


FLOW_CONTROL_VERBS = ("", "/pause", "/resume", "/pin?rate=1", "/unpin", "/resetRate", "/reset")


@pytest.mark.parametrize("value", NASTY[1:])
def test_no_key_breaks_flow_control(api: Api, value: str):
    for verb in FLOW_CONTROL_VERBS:
        target = f"/v2/flowControl/{quote(value, safe='')}{verb}"
        response = api.post(target) if verb else api.get(target)
        assert is_a_sentence(response), (verb, response.content)
    assert is_a_sentence(api.get(f"/v2/flowControl?search={quote(value)}"))


@pytest.mark.parametrize("name", ["parallelism", "rate", "period"])
def test_no_limit_breaks_a_pin(api: Api, name: str):
    for value in NASTY:
        limits = {"parallelism": "1", "rate": "1", "period": "1s", name: value}
        query = "&".join(f"{each}={quote(given)}" for each, given in limits.items())
        pinned = api.post(f"/v2/flowControl/k/pin?{query}")
        assert is_a_sentence(pinned), (value, pinned.content)
        assert is_a_sentence(api.get("/v2/flowControl"))
