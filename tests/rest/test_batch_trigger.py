"""`POST /v2/batch/trigger`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rest.conftest import Api, answer_of
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Run
from workflows_app.protocol.durations import unix_milliseconds


def test_all_runs_of_a_batch_are_started_in_its_order(api: Api, hello, clock, work):
    created_at = unix_milliseconds(clock.now)

    response = api.post(
        "/v2/batch/trigger",
        json.dumps(
            [
                {
                    "destination": hello,
                    "headers": {"Upstash-Workflow-RunId": "a", "upstash-label": ["x", "y"]},
                    "body": '"Ada"',
                    "queue": None,
                },
                {
                    "destination": hello,
                    "headers": {"upstash-workflow-runid": "b"},
                    "body": {"first": ["Ädä"]},
                },
                {"destination": hello, "headers": {"upstash-workflow-runid": "a"}},
            ]
        ),
    )

    assert answer_of(response) == (
        201,
        [
            {"workflowRunId": "a", "workflowCreatedAt": created_at},
            {"workflowRunId": "b", "workflowCreatedAt": created_at},
            {"workflowRunId": "a", "workflowCreatedAt": created_at, "deduplicated": True},
        ],
    )
    work()
    results = Run.objects.order_by("id").values_list("run_id", "result", "labels")
    assert list(results) == [
        ("a", '{"hello":"Ada"}', '["x","y"]'),
        ("b", '{"hello":{"first":["Ädä"]}}', "[]"),
    ]


def test_an_empty_batch_starts_nothing(api: Api):
    assert answer_of(api.post("/v2/batch/trigger", "[]")) == (201, [])


@pytest.mark.parametrize(
    ("item", "status", "sentence"),
    [
        ({}, 400, 'item 1: it must be an object with a "destination", a URL'),
        (
            "https://x.example",
            400,
            'item 1: it must be an object with a "destination", a URL',
        ),
        (
            {"destination": "x"},
            400,
            "item 1: 'x' is not a URL to send requests to; it must be absolute and begin with "
            "http:// or https://.",
        ),
        (
            {"destination": "https://x.example", "body": "\ud800"},
            400,
            "item 1: its body holds half a surrogate pair, which no text has",
        ),
        (
            {"destination": "https://x.example", "headers": ["a"]},
            400,
            "item 1: its headers must be an object of texts",
        ),
        (
            {"destination": "https://x.example", "headers": {"a": 1}},
            400,
            "item 1: its header 'a' must be a text",
        ),
        (
            {"destination": "https://x.example", "headers": {"upstash-retries": "-1"}},
            400,
            "item 1: Upstash-Retries: '-1' must be a whole number, 0 or more.",
        ),
    ],
)
def test_one_bad_item_refuses_the_whole_batch(
    api: Api, hello, item: Any, status: int, sentence: str
):
    response = api.post("/v2/batch/trigger", json.dumps([{"destination": hello}, item]))

    assert answer_of(response) == (status, {"error": sentence})
    assert Run.objects.count() == 0


def test_an_unknown_workflow_refuses_the_whole_batch(api: Api, hello):
    items = [{"destination": hello}, {"destination": serve_url("hullo")}]

    response = api.post("/v2/batch/trigger", json.dumps(items))

    assert response.status_code == 404
    assert response.json()["error"].startswith('item 1: no workflow "hullo" is registered here')
    assert Run.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "This is not JSON: Expecting value: line 1 column 1 (char 0)."),
        ("{", "This is not JSON: "),
        (b"\xff", "The JSON is not UTF-8: invalid start byte at byte 1."),
        ("[" * 100_000, "The JSON is nested too deeply."),
        ("{}", "the body must be a JSON array of objects such as "),
    ],
)
def test_a_body_that_is_no_batch_is_refused(api: Api, body: bytes | str, sentence: str):
    response = api.post("/v2/batch/trigger", body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(sentence)


def test_a_batch_of_too_many_is_refused(api: Api, hello, settings):
    settings.WORKFLOWS = {"MAX_BATCH": 2}

    response = api.post("/v2/batch/trigger", json.dumps([{"destination": hello}] * 3))

    assert answer_of(response) == (413, {"error": "a batch holds at most 2 items, not 3"})
