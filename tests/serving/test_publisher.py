"""Requests to the workflow server, and what its answers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from tests.compat.third_party import ThirdParty
from workflows_app.errors import Refused, RunEnded, StepMisuse, WorkflowsError
from workflows_app.serving import NotPublished, QStash

TOKEN = base64.b64encode(b'{"UserID":"ada","Password":"secret"}').decode()


@pytest.fixture
def third() -> Iterator[ThirdParty]:
    third = ThirdParty()
    yield third
    third.close()


def test_what_is_published_carries_the_token_and_is_answered(third: ThirdParty):
    server = QStash(f"{third.url}/", TOKEN)

    answer = server.send("POST", "/echo", {"X-Name": "ü", "Content-Type": "text/plain"}, b"body")

    (received,) = third.received("/echo")
    assert received.headers["authorization"] == f"Bearer {TOKEN}"
    assert received.headers["x-name"].encode("latin-1").decode() == "ü"
    assert json.loads(answer)["body"] == "body"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RunEnded),
        (404, RunEnded),
        (412, Refused),
        (401, NotPublished),
        (500, NotPublished),
        (302, None),
    ],
)
def test_a_refusal_says_whether_to_try_again(
    third: ThirdParty, status: int, error: type[WorkflowsError] | None
):
    server = QStash(third.url, TOKEN)
    path = f"/status/{status}"

    if error is None:
        server.send("GET", path, {}, None)
    else:
        with pytest.raises(error) as raised:
            server.send("GET", path, {}, None)
        assert raised.type is error
    assert len(third.received(path)) == 1


def test_a_server_that_cannot_be_reached_may_be_tried_again():
    with pytest.raises(NotPublished, match="cannot be reached"):
        QStash("http://127.0.0.1:9", TOKEN).send("GET", "/", {}, None)


def test_a_webhook_is_below_the_account_of_the_token():
    url = QStash("http://server/", TOKEN).webhook_url("wfr/1", "evt_ü")

    assert url == "http://server/v2/workflows/hooks/ada/wfr%2F1/evt_%C3%BC"


@pytest.mark.parametrize("token", ["opaque", base64.b64encode(b"[]").decode(), "ü"])
def test_a_token_without_an_account_has_no_webhooks(token: str):
    with pytest.raises(StepMisuse, match="a token that names its account"):
        QStash("http://server", token).webhook_url("wfr_1", "evt_1")
