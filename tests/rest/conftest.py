"""Accounts that ask, workflows that run, and a third party that answers as it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from workflows_app import Workflow, workflow
from workflows_app.engine import accounts, drain, ports
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Account, Token
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.sdk import authoring
from workflows_app.worker.transport import WorkflowTransport


class Api:
    """What one token's holder sends."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._client = Client()

    def get(self, path: str) -> Any:
        return self._client.get(path, headers=self._headers({}))

    def post(self, path: str, body: bytes | str = b"", **headers: str) -> Any:
        """Keyword arguments are headers: `upstash_retries="1"`."""
        return self._send("POST", path, body, headers)

    def delete(self, path: str, body: bytes | str = b"") -> Any:
        return self._send("DELETE", path, body, {})

    def _send(self, method: str, path: str, body: bytes | str, headers: dict[str, str]) -> Any:
        return self._client.generic(
            method, path, body, content_type="application/json", headers=self._headers(headers)
        )

    def _headers(self, given: dict[str, str]) -> dict[str, str]:
        headers = {name.replace("_", "-"): value for name, value in given.items()}
        return {"Authorization": f"Bearer {self.token}", **headers} if self.token else headers


def answer_of(response: Any) -> tuple[int, Any]:
    """Status and body."""
    return response.status_code, response.json()


@pytest.fixture
def account(db) -> Account:
    return Account.objects.default()


@pytest.fixture
def api(account) -> Api:
    return Api(accounts.create_token(account, "full", Token.Scope.FULL))


@pytest.fixture
def read_only_api(account) -> Api:
    return Api(accounts.create_token(account, "look", Token.Scope.READ_ONLY))


@pytest.fixture
def stranger(db) -> Api:
    """Holds a full token of another account."""
    other = Account.objects.create(name="another")
    return Api(accounts.create_token(other, "full", Token.Scope.FULL))


Register = Callable[..., Callable[[Callable[[Any], Any]], Workflow]]


@pytest.fixture
def registry() -> Iterator[Register]:
    """`@workflow`, whose workflows are gone after the test."""
    before = dict(authoring._registry)
    yield workflow
    authoring._registry.clear()
    authoring._registry.update(before)


@pytest.fixture
def hello(registry: Register) -> str:
    """The URL of a workflow with one step."""

    @registry("hello", retries=0)
    def hello(context: Any) -> dict[str, Any]:
        return {"hello": context.run("greet", lambda: context.request_payload)}

    return serve_url("hello")


@dataclass
class Shop:
    """What the workflow "broken" works in: until it is open, nothing can be sold."""

    is_open: bool = False
    ran: list[str] = field(default_factory=list)

    def unlock(self) -> str:
        self.ran.append("unlock")
        return f"unlocked {self.ran.count('unlock')} times"

    def sell(self) -> str:
        self.ran.append("sell")
        if not self.is_open:
            raise ConnectionError("the shop is closed")
        return "sold"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def broken(registry: Register, shop: Shop) -> str:
    """The URL of a workflow whose second step fails for good."""

    @registry("broken", retries=0)
    def broken(context: Any) -> str:
        return f"{context.run('unlock', shop.unlock)}, {context.run('sell', shop.sell)}"

    return serve_url("broken")


@dataclass
class ThirdParty(WorkflowTransport):
    """The rest of the world: gives the answers it was told, in order, to whatever is sent to it."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[Outgoing] = field(default_factory=list)

    def answers_with(self, status: int, body: bytes = b"", **headers: list[str]) -> None:
        self.answers.append(Answer(status=status, headers=headers, body=body))

    def send(self, request: Outgoing) -> Answer:
        self.asked.append(request)
        return self.answers.pop(0)


@pytest.fixture
def third_party() -> Iterator[ThirdParty]:
    before = ports.get_transport()
    scripted = ThirdParty()
    ports.install_transport(scripted)
    yield scripted
    ports.install_transport(before)


@dataclass
class Endpoint(ThirdParty):
    """Of a remote run: says that all went well, unless it was told what to answer."""

    def send(self, request: Outgoing) -> Answer:
        if self.answers:
            return super().send(request)
        self.asked.append(request)
        return Answer(status=200, headers={"Upstash-Workflow-Sdk-Version": ["1"]}, body=b"")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    before = ports.get_transport()
    scripted = Endpoint()
    ports.install_transport(scripted)
    yield scripted
    ports.install_transport(before)


@pytest.fixture
def work() -> Callable[[], int]:
    """Deliver all that is due by now."""
    return drain.drain_here
