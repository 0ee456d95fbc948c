"""Clients of both shells, real servers to ask, and scripted ones that fail."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connections
from pytest_django import Settings

from tests.shells import Shell, registry, shell
from workflows_app import Context, workflow
from workflows_app.client import AsyncClient, Backoff, Client
from workflows_app.engine import accounts, drain
from workflows_app.models import Account, Token

__all__ = ["registry", "shell"]

OpenClient = Callable[..., Any]
TOKEN = "a-token-of-tests"
SERVER = "https://workflows.example.org"
AT_ONCE = Backoff(retries=2, first=timedelta())


class Blocking:
    """An asynchronous client, whose verbs can be called as those of the other."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._loop = loop

    def __repr__(self) -> str:
        return repr(self._target)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if inspect.isasyncgenfunction(found):
            return lambda *args, **kwargs: self._loop.run_until_complete(
                _collect(found(*args, **kwargs))
            )
        if inspect.iscoroutinefunction(found):
            return lambda *args, **kwargs: self._loop.run_until_complete(found(*args, **kwargs))
        return Blocking(found, self._loop)


async def _collect(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.fixture
def open_client(shell: Shell) -> Iterator[OpenClient]:
    """A client of the shell, which is closed after the test; keywords are its options."""
    if shell is Shell.SYNC:
        opened: list[Client] = []

        def plain(*args: Any, **options: Any) -> Client:
            opened.append(Client(*args, **options))
            return opened[-1]

        yield plain
        for client in opened:
            client.close()
        return
    loop = asyncio.new_event_loop()
    awaited: list[AsyncClient] = []

    def asynchronous(*args: Any, **options: Any) -> Blocking:
        awaited.append(AsyncClient(*args, **options))
        return Blocking(awaited[-1], loop)

    yield asynchronous
    for each in awaited:
        loop.run_until_complete(each.aclose())
    loop.close()


# -- a real server


@pytest.fixture
def server(
    live_server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> str:
    """Its address. Address and token of its account are in the environment."""
    # A client keeps its HTTP connection, whose thread is not to keep one to the database.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.WORKFLOWS = {"BASE_URL": live_server.url, "ALLOW_PRIVATE_ADDRESSES": True}
    token = accounts.create_token(Account.objects.default(), "client", Token.Scope.FULL)
    monkeypatch.setenv("QSTASH_URL", live_server.url)
    monkeypatch.setenv("QSTASH_TOKEN", token)
    return str(live_server.url)


@pytest.fixture
def client(server: str, open_client: OpenClient) -> Any:
    return open_client()


@pytest.fixture
def work() -> Callable[[], int]:
    """Deliver all that is due by now."""
    return drain.drain_here


@pytest.fixture
def workflows(registry: dict[str, Any]) -> None:
    """`hello` greets; `sleeper` sleeps for a day; `waits` waits for "paid"; `broken` fails."""

    @workflow("hello", retries=0)
    def hello(context: Context) -> Any:
        return context.run("greet", lambda: {"hello": context.request_payload})

    @workflow("sleeper")
    def sleeper(context: Context) -> None:
        context.sleep("long", "1d")

    @workflow("waits")
    def waits(context: Context) -> Any:
        return context.wait_for_event("wait", "paid").event_data

    @workflow("broken", retries=0, retry_delay="0")
    def broken(context: Context) -> Any:
        context.run("fine", lambda: "fine")
        return context.run("sell", sell)


def sell() -> None:
    raise ConnectionError("the shop is closed")


# -- a scripted server


class Scripted:
    """Gives the answers that it was told, in order, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self._outcomes: list[httpx.Response | Exception] = []

    def answers(self, status: int, said: Any = None, **headers: str) -> Scripted:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        body = said if isinstance(said, str) else None
        json = None if isinstance(said, str) else said
        self._outcomes.append(httpx.Response(status, headers=names, text=body, json=json))
        return self

    def fails(self, error: Exception) -> Scripted:
        self._outcomes.append(error)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.asked]


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def scripted_client(open_client: OpenClient, scripted: Scripted) -> Any:
    """Tries twice again, without pauses."""
    return open_client(SERVER, TOKEN, backoff=AT_ONCE, transport=httpx.MockTransport(scripted))
