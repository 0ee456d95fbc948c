"""`DELETE /v2/workflows/runs/{id}` and `DELETE /v2/workflows/runs`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.rest.conftest import Api, answer_of
from workflows_app.models import Message, Run
from workflows_app.protocol.durations import unix_milliseconds

Start = Callable[..., str]


@pytest.fixture
def start(api: Api, hello) -> Start:
    """Trigger a run of that id, at a foreign URL unless it is of this server."""

    def start(run_id: str, url: str = hello, **headers: str) -> str:
        response = api.post(f"/v2/trigger/{url}", upstash_workflow_runid=run_id, **headers)
        assert response.status_code == 200, response.content
        return run_id

    return start


def canceled() -> list[str]:
    runs = Run.objects.filter(status=Run.Status.CANCELED)
    return list(runs.order_by("id").values_list("run_id", flat=True))


def test_a_live_run_is_cancelled_and_owes_nothing_more(api: Api, start: Start, clock):
    start("a")

    response = api.delete("/v2/workflows/runs/a")

    assert answer_of(response) == (200, {"cancelled": 1})
    assert canceled() == ["a"]
    assert Message.objects.count() == 0


def test_cancel_true_says_the_same(api: Api, start: Start):
    start("a")

    assert api.delete("/v2/workflows/runs/a?cancel=true").status_code == 200


def test_a_run_that_is_worked_on_here_is_not_finished_from_outside(api: Api, start: Start):
    start("a")

    response = api.delete("/v2/workflows/runs/a?cancel=false")

    assert answer_of(response) == (
        400,
        {
            "error": 'run "a" is worked on by this server, which records its steps and its end '
            "itself: leave both to it"
        },
    )
    assert canceled() == []


def test_an_ended_run_cannot_be_cancelled(api: Api, start: Start, work):
    start("a")
    work()

    assert answer_of(api.delete("/v2/workflows/runs/a")) == (
        400,
        {"error": "run a has ended already and cannot be cancelled"},
    )


@pytest.mark.parametrize(
    ("run_id", "status", "sentence"),
    [
        ("nobody", 404, 'there is no run "nobody" in this account'),
        (
            "a/b",
            400,
            "'a/b' is not a run id: use 1 to 256 printable characters without \"/\".",
        ),
        ("a%00b", 404, "nothing here has a name with NUL in it"),
        (
            "a%01b",
            400,
            "'a\\x01b' is not a run id: use 1 to 256 printable characters without \"/\".",
        ),
    ],
)
def test_an_unknown_or_malformed_id_is_refused(api: Api, run_id: str, status: int, sentence: str):
    assert answer_of(api.delete(f"/v2/workflows/runs/{run_id}")) == (status, {"error": sentence})


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?workflowRunIds=a&workflowRunIds=b&workflowRunIds=unknown", ""),
        ("?workflowRunIds=a,b,unknown", ""),
        ("", json.dumps({"workflowRunIds": ["a", "b", "unknown"]})),
        ("?workflowRunIds=a", json.dumps({"workflowRunIds": ["b"]})),
    ],
)
def test_many_runs_are_cancelled_by_their_ids(api: Api, start: Start, query: str, body: str):
    for run_id in "abc":
        start(run_id)

    response = api.delete(f"/v2/workflows/runs{query}", body)

    assert answer_of(response) == (200, {"cancelled": 2})
    assert canceled() == ["a", "b"]


def test_ended_runs_are_not_counted(api: Api, start: Start):
    start("a")
    api.delete("/v2/workflows/runs?workflowRunIds=a")

    again = api.delete("/v2/workflows/runs?workflowRunIds=a")

    assert answer_of(again) == (200, {"cancelled": 0})


@pytest.mark.parametrize("body", ["", "{}", '{"count": 100}'])
def test_without_filters_all_runs_are_cancelled(api: Api, start: Start, body: str):
    start("a")
    start("b")

    assert answer_of(api.delete("/v2/workflows/runs", body)) == (200, {"cancelled": 2})


def test_count_limits_how_many_newest_first(api: Api, start: Start):
    for run_id in "abc":
        start(run_id)

    assert answer_of(api.delete("/v2/workflows/runs?count=2")) == (200, {"cancelled": 2})
    assert canceled() == ["b", "c"]


def test_a_hundred_are_cancelled_unless_count_says_more(api: Api, hello):
    items = json.dumps([{"destination": hello}] * 101)
    api.post("/v2/batch/trigger", items)

    assert answer_of(api.delete("/v2/workflows/runs")) == (200, {"cancelled": 100})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("workflowUrl=https://one.example/a", ["one", "one-b"]),
        ("workflowUrl=https://one.example/a&workflowUrlExactMatch=true", ["one"]),
        ("workflowUrl=https://ONE.example/a", []),
        ("workflowUrl=https://one.example/a,https://two.example", ["one", "one-b", "two"]),
        ("label=red", ["one", "two"]),
        ("label=red&label=blue", ["one", "one-b", "two"]),
        ("label=red,blue&host=one.example", ["one", "one-b"]),
        ("host=two.example", ["two"]),
        ("host=two.example:8080", ["two"]),
        ("host=two", []),
        ("path=/a", ["one"]),
        ("path=/a/b", ["one-b"]),
        ("path=/", ["two"]),
        ("flowControlKey=slow", ["two"]),
        ("callerIp=127.0.0.1", ["one", "one-b", "two"]),
        ("callerIP=203.0.113.7", []),
        ("fromDate={early}&toDate={early}", ["one"]),
        ("fromDate={late}", ["one-b", "two"]),
        ("workflowRunId=one&workflowCreatedAt={early}", ["one"]),
        ("workflowRunId=one&workflowCreatedAt={late}", []),
    ],
)
def test_filters_narrow_what_is_cancelled(
    api: Api, start: Start, clock, query: str, expected: list[str]
):
    early = unix_milliseconds(clock.now)
    start("one", "https://one.example/a", upstash_label="red")
    late = unix_milliseconds(clock.advance("1s"))
    start("one-b", "https://one.example/a/b?x=1", upstash_label="blue")
    start(
        "two",
        "https://two.example:8080",
        upstash_label="green,red",
        upstash_flow_control_key="slow",
        upstash_flow_control_value="rate=1",
    )

    response = api.delete(f"/v2/workflows/runs?{query.format(early=early, late=late)}")

    assert (canceled(), response.json()) == (expected, {"cancelled": len(expected)})


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("labeel=red", "'labeel' is not a filter here; known are "),
        ("label=", "label is empty; give it a value or leave it out"),
        ("workflowRunIds=", "workflowRunIds is empty; give it a value or leave it out"),
        ("count=0", "count is 0 but must be 1 or more"),
        ("count=many", "count is 'many' but must be a whole number, 0 or more"),
        ("fromDate=yesterday", "fromDate is 'yesterday' but must be a time in unix milliseconds"),
        ("fromDate=999999999999999", "fromDate is '999999999999999' but must be a time in unix"),
        ("workflowUrlExactMatch=1", 'workflowUrlExactMatch is \'1\' but must be "true" or "false"'),
        ("label=%00", "label holds characters that nothing here can have"),
        ("state=RUNNING", "state is 'RUNNING' but must be one of RUN_STARTED, RUN_SUCCESS, "),
    ],
)
def test_a_filter_that_cannot_be_used_cancels_nothing(
    api: Api, start: Start, query: str, sentence: str
):
    start("a", upstash_label="red")

    response = api.delete(f"/v2/workflows/runs?{query}")

    assert response.status_code == 400
    assert response.json()["error"].startswith(sentence)
    assert canceled() == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("[1]", 'the body must be a JSON object of filters, such as {"count": 10}'),
        ("{", "This is not JSON: "),
        ('{"workflowRunIds": []}', "workflowRunIds is empty; give it a value or leave it out"),
        ('{"workflowRunIds": {"a": 1}}', "workflowRunIds must be a text, a number, or a list of"),
        ('{"label": "\\ud800"}', "label holds characters that nothing here can have"),
    ],
)
def test_a_body_that_cannot_be_used_cancels_nothing(
    api: Api, start: Start, body: str, sentence: str
):
    start("a")

    response = api.delete("/v2/workflows/runs", body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(sentence)
    assert canceled() == []


def test_more_ids_than_a_batch_holds_are_refused(api: Api, settings):
    settings.WORKFLOWS = {"MAX_BATCH": 2}

    response: Any = api.delete("/v2/workflows/runs?workflowRunIds=a,b,c")

    assert answer_of(response) == (
        400,
        {"error": "workflowRunIds has 3 values; at most 2 are taken at once"},
    )
