"""Callers as Cloudflare's clients are: their paths begin with an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from tests.rest.conftest import Register
from workflows_app import Workflow
from workflows_app.engine import accounts
from workflows_app.engine.creating import create
from workflows_app.engine.definitions import definitions_of, find_definition, version_in_force
from workflows_app.engine.pausing import pause
from workflows_app.engine.run_moves import cancel
from workflows_app.models import Account, Run, Token
from workflows_app.sdk import authoring
from workflows_app.sdk.authoring import with_defaults


class CloudflareApi:
    """What one token's holder sends, below the workflows of an account."""

    def __init__(self, token: str, account: Account) -> None:
        self.token = token
        self.account = account
        self._client = Client(raise_request_exception=False)

    def get(self, path: str = "", **query: object) -> Any:
        return self.send("GET", path, **query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, body)

    def put(self, path: str, body: Any = None) -> Any:
        return self.send("PUT", path, body)

    def patch(self, path: str, body: Any = None) -> Any:
        return self.send("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path)

    def send(self, method: str, path: str, body: Any = None, **query: object) -> Any:
        """Bytes are sent as they are, anything else as its JSON, None as nothing."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        return self._client.generic(
            method,
            self.url(path),
            content,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
            query_params=query or None,
        )

    def url(self, path: str = "") -> str:
        base = f"/client/v4/accounts/{self.account.public_id.hex}/workflows"
        return f"{base}/{path.removeprefix('/')}" if path else base


def result_of(response: Any) -> Any:
    """Of a success, whose envelope is as it has to be."""
    body = response.json()
    assert response.status_code == 200, body
    assert set(body) - {"result_info"} == {"success", "errors", "messages", "result"}
    assert (body["success"], body["errors"]) == (True, [])
    return body["result"]


def refusal_of(response: Any) -> tuple[int, int, str]:
    """Status, code and sentence of a failure, whose envelope is as it has to be."""
    body = response.json()
    ((error,), (sentence,)) = body["errors"], body["messages"]
    assert body == {
        "success": False,
        "errors": [error],
        "messages": [sentence],
        "result": None,
    }
    assert set(error) == {"code", "message"}
    return response.status_code, error["code"], sentence


@pytest.fixture
def cloudflare(account: Account) -> CloudflareApi:
    return CloudflareApi(accounts.create_token(account, "cloudflare", Token.Scope.FULL), account)


@pytest.fixture
def read_only(account: Account) -> CloudflareApi:
    return CloudflareApi(accounts.create_token(account, "look", Token.Scope.READ_ONLY), account)


@pytest.fixture
def other_account(db: None) -> Account:
    return Account.objects.create(name="another")


@pytest.fixture
def foreigner(other_account: Account) -> CloudflareApi:
    """Holds a full token of another account, and asks for that account."""
    secret = accounts.create_token(other_account, "full", Token.Scope.FULL)
    return CloudflareApi(secret, other_account)


MINE = "mine-alone"


@pytest.fixture
def shop(registry: Register) -> Workflow:
    """A workflow that waits for its payment, unless its payload is to buy or to fail. It is the
    only one: others would cost each test the rows that tell of them.
    """
    authoring._registry.clear()

    @registry("shop", retries=0)
    def shop(context: Any) -> Any:
        reserve = context.options(rollback=lambda undo: None)
        wish = reserve.run("reserve", lambda: context.request_payload)
        if wish == "fail":
            raise ValueError("sold out")
        return wish if wish == "buy" else context.wait_for_event("payment", "paid", timeout="1h")

    return shop


Start = Callable[[str, Any], Run]


@pytest.fixture
def start(account: Account, shop: Workflow) -> Start:
    """Start an instance of this id, with this payload."""

    def start(instance_id: str, payload: Any) -> Run:
        request = replace(shop.request(payload), run_id=instance_id, named_within=True)
        (run,) = create(account, [with_defaults(request)]).runs
        return run

    return start


@pytest.fixture
def mine(account: Account, shop: Workflow, start: Start, work: Callable[[], int]) -> dict[str, str]:
    """What stands for each parameter of a path: all of it is there, and belongs to `account`. The
    instance, which waits, is the one of the description's examples.
    """
    # Whoever asks for the list makes the rows that it needs.
    assert definitions_of(account).exists()
    start("order-7", MINE)
    work()
    definition = find_definition(account, shop.name)
    return {
        "workflow_name": shop.name,
        "instance_id": "order-7",
        "event_type": "paid",
        "version_id": str(version_in_force(definition).public_id),
    }


@pytest.fixture
def instances(mine: dict[str, str], start: Start, work: Callable[[], int]) -> list[str]:
    """The ids of some, each in another state, beside the one that waits."""
    start("complete", "buy")
    start("errored", "fail")
    runs = {each: start(each, MINE) for each in ("paused", "rollingBack", "terminated")}
    work()
    pause(runs["paused"])
    cancel(runs["rollingBack"], roll_back=True)
    cancel(runs["terminated"])
    start("queued", MINE)
    return ["order-7", "complete", "errored", *runs, "queued"]
