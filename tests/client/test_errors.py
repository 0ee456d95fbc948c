"""What the clients say when they cannot do what they are asked for."""

from __future__ import annotations

import traceback
from typing import Any

import httpx
import pytest

from tests.client.conftest import SERVER, TOKEN, OpenClient, Scripted
from workflows_app.client import (
    ClientError,
    NotOnServer,
    RequestRefused,
    ServerFailed,
    TokenRefused,
    TooManyRequests,
    UnreadableAnswer,
)
from workflows_app.client.errors import kind_of
from workflows_app.engine import accounts
from workflows_app.errors import WorkflowsError
from workflows_app.models import Account, Token


@pytest.mark.django_db(transaction=True)
def test_an_unknown_token_is_named_by_where_it_comes_from(
    server: str, open_client: OpenClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("QSTASH_TOKEN", "nobody-knows-this")

    with pytest.raises(
        TokenRefused, match="does not know the token that QSTASH_TOKEN gave"
    ) as refused:
        open_client().logs()
    with pytest.raises(TokenRefused, match="the token that the argument token gave"):
        open_client(token="nor-this").logs()

    assert refused.value.status == 401
    assert "this token is unknown or has been revoked" in refused.value.server_message


@pytest.mark.django_db(transaction=True)
def test_a_read_only_token_looks_and_changes_nothing(server: str, open_client: OpenClient):
    token = accounts.create_token(Account.objects.default(), "look", Token.Scope.READ_ONLY)
    client = open_client(token=token)

    assert client.logs().runs == ()
    with pytest.raises(TokenRefused, match="use a full one") as refused:
        client.cancel_all()
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, RequestRefused),
        (400, RequestRefused),
        (401, TokenRefused),
        (403, TokenRefused),
        (404, NotOnServer),
        (412, RequestRefused),
        (429, TooManyRequests),
        (500, ServerFailed),
        (504, ServerFailed),
    ],
)
def test_each_kind_of_refusal_can_be_caught(status: int, kind: type[ClientError]):
    assert kind_of(status) is kind
    assert issubclass(kind, ClientError)
    assert issubclass(kind, WorkflowsError)


def test_the_server_is_quoted(scripted_client: Any, scripted: Scripted):
    scripted.answers(400, {"error": "count is 0 but must be 1 or more"})

    with pytest.raises(RequestRefused) as refused:
        scripted_client.logs(count=0)

    assert str(refused.value) == (
        f"GET {SERVER}/v2/workflows/logs answered 400: count is 0 but must be 1 or more"
    )
    assert (refused.value.status, refused.value.code) == (400, "request_refused")


@pytest.mark.parametrize(
    ("body", "said"),
    [("", "(an empty body)"), ("<h1>Bad Gateway</h1>", "Bad Gateway"), ('["a"]', '["a"]')],
)
def test_a_proxy_is_quoted_as_well(scripted_client: Any, scripted: Scripted, body: str, said: str):
    scripted.answers(400, body)

    with pytest.raises(RequestRefused) as refused:
        scripted_client.logs()

    assert said in refused.value.server_message


def test_a_server_that_has_moved_is_named(scripted_client: Any, scripted: Scripted):
    scripted.answers(301, "", location="https://new.example.org/v2/workflows/logs?secret=1")

    with pytest.raises(RequestRefused, match=r"moved to 'https://new\.example\.org/v2") as refused:
        scripted_client.logs()

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "said", ["<html>a shop</html>", ["a list"], {"runs": [{}]}, {"runs": ["x"]}], ids=repr
)
def test_what_is_no_workflow_server_is_not_taken_for_one(
    scripted_client: Any, scripted: Scripted, said: Any
):
    scripted.answers(200, said)

    with pytest.raises(UnreadableAnswer):
        scripted_client.logs()


@pytest.mark.parametrize(
    "said", [[], [{"error": "not this one"}], {"workflowRunId": "wfr_1"}], ids=repr
)
def test_a_trigger_that_starts_nothing_is_an_error(
    scripted_client: Any, scripted: Scripted, said: Any
):
    scripted.answers(201, said)

    with pytest.raises(UnreadableAnswer):
        scripted_client.trigger("hello")


def test_what_a_newer_server_says_more_is_kept(scripted_client: Any, scripted: Scripted):
    run = {
        "workflowRunId": "wfr_1",
        "workflowState": "RUN_PAUSED",
        "workflowRunCreatedAt": 1,
        "priority": 7,
        "label": "shop",
        "steps": [{"type": "loop", "steps": [{"state": "STEP_LOOPING", "times": 3}]}],
    }
    scripted.answers(200, {"runs": [run], "cursor": "", "total": 1})

    page = scripted_client.logs()

    (got,) = page.runs
    assert (got.state, got.labels, got.raw["priority"]) == ("RUN_PAUSED", ("shop",), 7)
    assert (got.steps[0].state, got.steps[0].raw["times"]) == ("STEP_LOOPING", 3)
    assert page.cursor is None


# -- secrets


def test_no_error_tells_the_token(scripted_client: Any, scripted: Scripted):
    scripted.answers(400, f"GET / Authorization: Bearer {TOKEN}")
    scripted.fails(httpx.RemoteProtocolError(f"Illegal header value b'Bearer {TOKEN}'"))
    scripted.answers(200, f"<pre>{TOKEN}</pre>")

    for ask in (
        scripted_client.logs,
        lambda: scripted_client.notify("paid"),
        scripted_client.schedules.list,
    ):
        with pytest.raises(ClientError) as failed:
            ask()
        shown = "".join(traceback.format_exception(failed.value))
        assert TOKEN not in shown + repr(failed.value)

    assert TOKEN not in repr(scripted_client)
    assert [request.headers["Authorization"] for request in scripted.asked] == [
        f"Bearer {TOKEN}"
    ] * 3
