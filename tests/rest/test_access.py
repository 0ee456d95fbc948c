"""Who may do what: tokens, their scopes, and the walls between accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.rest.conftest import Api, answer_of
from workflows_app.engine import accounts
from workflows_app.models import Account, DeadLetter, Message, Run, Token

MISSING = {"error": 'a token is missing: send it as "Authorization: Bearer <token>"'}
UNKNOWN = {
    "error": "this token is unknown or has been revoked; ask whoever runs this server for another"
}
READ_ONLY = {"error": "This token may only read; use a full token to change anything."}

READING = [
    ("GET", "/v2/workflows/logs"),
    ("GET", "/v2/workflows/events?groupBy=workflowRunId"),
    ("GET", "/v2/dlq?source=workflow"),
    ("GET", "/v2/workflows/dlq"),
    ("GET", "/v2/workflows/dlq/{dlq_id}"),
    ("GET", "/v2/keys"),
]
CHANGING = [
    ("POST", "/v2/trigger/https://flows.example.org/x"),
    ("POST", "/v2/batch/trigger"),
    ("DELETE", "/v2/workflows/runs/live"),
    ("DELETE", "/v2/workflows/runs"),
    ("DELETE", "/v2/workflows/dlq"),
    ("DELETE", "/v2/workflows/dlq/{dlq_id}"),
    ("POST", "/v2/workflows/dlq/resume"),
    ("POST", "/v2/workflows/dlq/restart"),
    ("POST", "/v2/workflows/dlq/resume/{dlq_id}"),
    ("POST", "/v2/workflows/dlq/restart/{dlq_id}"),
    ("POST", "/v2/workflows/dlq/callback/{dlq_id}"),
    ("DELETE", "/v2/workflows/dlq/callback/{dlq_id}"),
    ("POST", "/v2/keys/rotate"),
]


@pytest.fixture
def dlq_id(api: Api, hello, broken, work: Callable[[], int]) -> str:
    """The id of a failed run's entry; beside it there is a live run "live"."""
    api.post(f"/v2/trigger/{broken}", upstash_workflow_runid="failed")
    work()
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="live")
    return DeadLetter.objects.get().public_id


def everything() -> list[Any]:
    """All that a caller could have changed."""
    return [
        list(Run.objects.order_by("id").values()),
        list(Message.objects.order_by("id").values()),
        list(DeadLetter.objects.order_by("id").values()),
        list(Account.objects.order_by("id").values()),
    ]


def ask(api: Api, method: str, path: str, dlq_id: str) -> Any:
    if method == "GET":
        return api.get(path.format(dlq_id=dlq_id))
    body = "[]" if path.startswith("/v2/batch") else ""
    return api._send(method, path.format(dlq_id=dlq_id), body, {})


@pytest.mark.parametrize(("method", "path"), READING + CHANGING)
@pytest.mark.parametrize(
    ("secret", "sentence"), [("", MISSING), ("wrong", UNKNOWN), ("wröng\x7f", UNKNOWN)]
)
def test_nothing_is_done_without_a_token(
    dlq_id: str, method: str, path: str, secret: str, sentence: dict[str, str]
):
    before = everything()

    response = ask(Api(secret), method, path, dlq_id)

    assert answer_of(response) == (401, sentence)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert everything() == before


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_read_only_token_changes_nothing(read_only_api: Api, dlq_id: str, method: str, path: str):
    before = everything()

    assert answer_of(ask(read_only_api, method, path, dlq_id)) == (403, READ_ONLY)
    assert everything() == before


@pytest.mark.parametrize(("method", "path"), READING)
def test_a_read_only_token_reads(read_only_api: Api, dlq_id: str, method: str, path: str):
    assert ask(read_only_api, method, path, dlq_id).status_code == 200


def test_a_revoked_token_is_worth_nothing(api: Api):
    accounts.revoke_token(Token.objects.get())

    assert answer_of(api.get("/v2/keys")) == (401, UNKNOWN)


def test_a_token_can_come_in_the_query(api: Api):
    assert Client().get("/v2/keys", {"qstash_token": api.token}).status_code == 200
    assert Client().get("/v2/keys?qstash_token=wrong").status_code == 401


def test_the_header_counts_before_the_query(api: Api):
    response = Client().get(
        f"/v2/keys?qstash_token={api.token}", headers={"Authorization": "Bearer wrong"}
    )

    assert answer_of(response) == (401, UNKNOWN)


def test_another_scheme_is_no_token(api: Api):
    response = Client().get("/v2/keys", headers={"Authorization": f"Basic {api.token}"})

    assert answer_of(response) == (401, MISSING)


def test_the_token_in_the_query_is_no_filter(api: Api, hello):
    api.post(f"/v2/trigger/{hello}")

    response = Client().delete(f"/v2/workflows/runs?qstash_token={api.token}")

    assert answer_of(response) == (200, {"cancelled": 1})


# -- other accounts


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/workflows/logs", {"runs": []}),
        ("/v2/workflows/logs?workflowRunId=live", {"runs": []}),
        ("/v2/workflows/logs?messageId=msg_r{pk}", {"runs": []}),
        ("/v2/workflows/events?groupBy=workflowRunId", {"runs": []}),
        ("/v2/dlq?source=workflow", {"messages": []}),
        ("/v2/workflows/dlq", {"messages": []}),
        ("/v2/workflows/dlq?dlqIds={dlq_id}", {"messages": []}),
    ],
)
def test_lists_show_nothing_of_another_account(
    stranger: Api, dlq_id: str, path: str, body: dict[str, Any]
):
    pk = Run.objects.get(run_id="live").pk

    assert answer_of(stranger.get(path.format(pk=pk, dlq_id=dlq_id))) == (200, body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v2/workflows/runs/live"),
        ("GET", "/v2/workflows/dlq/{dlq_id}"),
        ("DELETE", "/v2/workflows/dlq/{dlq_id}"),
        ("POST", "/v2/workflows/dlq/resume/{dlq_id}"),
        ("POST", "/v2/workflows/dlq/restart/{dlq_id}"),
        ("POST", "/v2/workflows/dlq/callback/{dlq_id}"),
        ("DELETE", "/v2/workflows/dlq/callback/{dlq_id}"),
        ("POST", "/v2/workflows/dlq/resume?dlqIds={dlq_id}"),
        ("POST", "/v2/workflows/dlq/restart?dlqIds={dlq_id}"),
    ],
)
def test_what_another_account_has_is_not_there(stranger: Api, dlq_id: str, method: str, path: str):
    before = everything()

    response = ask(stranger, method, path, dlq_id)

    assert response.status_code == 404
    assert response.json()["error"].startswith("there is no ")
    assert everything() == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/v2/workflows/runs", {"cancelled": 0}),
        ("DELETE", "/v2/workflows/runs?workflowRunIds=live", {"cancelled": 0}),
        ("DELETE", "/v2/workflows/dlq", {"deleted": 0}),
        ("DELETE", "/v2/workflows/dlq?dlqIds={dlq_id}", {"deleted": 0}),
        ("POST", "/v2/workflows/dlq/resume", {"workflowRuns": []}),
        ("POST", "/v2/workflows/dlq/restart", {"workflowRuns": []}),
    ],
)
def test_bulk_verbs_do_not_reach_another_account(
    stranger: Api, dlq_id: str, method: str, path: str, body: dict[str, Any]
):
    before = everything()

    assert answer_of(ask(stranger, method, path, dlq_id)) == (200, body)
    assert everything() == before


def test_two_accounts_may_use_the_same_run_id(api: Api, stranger: Api, hello):
    for each in (api, stranger):
        response = each.post(f"/v2/trigger/{hello}", upstash_workflow_runid="same")
        assert "deduplicated" not in response.json()

    stranger.delete("/v2/workflows/runs/same")

    (log,) = api.get("/v2/workflows/logs?workflowRunId=same").json()["runs"]
    assert log["workflowState"] == "RUN_STARTED"


def test_two_accounts_do_not_share_flow_control(api: Api, stranger: Api, hello):
    for each in (api, stranger):
        item = {
            "destination": hello,
            "headers": {
                "upstash-flow-control-key": "shop",
                "upstash-flow-control-value": "rate=1",
            },
        }
        assert each.post("/v2/batch/trigger", json.dumps([item])).status_code == 201

    keys = Run.objects.values_list("flow_control", "flow_control__account", "account")
    assert len({key for key, _, _ in keys}) == 2
    assert all(of_key == of_run for _, of_key, of_run in keys)
