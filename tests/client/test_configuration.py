"""Which server a client asks, and what it needs to be there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import httpx
import pytest

import workflows_app.client as package
from tests.client.conftest import OpenClient, Scripted
from workflows_app.client import AsyncClient, Client, NotConfigured, Trigger
from workflows_app.client.connection import Connection
from workflows_app.client.options import RunOptions
from workflows_app.errors import InvalidDuration, InvalidUrl

NAMES = ("QSTASH_URL", "QSTASH_TOKEN")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_address_and_token_come_from_the_environment(
    open_client: OpenClient, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("QSTASH_URL", "https://workflows.example.org/below/ ")
    monkeypatch.setenv("QSTASH_TOKEN", " secret\n")
    scripted.answers(200, {"runs": []})

    open_client(transport=httpx.MockTransport(scripted)).logs()

    (request,) = scripted.asked
    assert str(request.url) == "https://workflows.example.org/below/v2/workflows/logs"
    assert request.headers["Authorization"] == "Bearer secret"


def test_what_is_given_wins(open_client: OpenClient, monkeypatch: pytest.MonkeyPatch):
    for name in NAMES:
        monkeypatch.setenv(name, "https://other.example.org")

    client = open_client("https://workflows.example.org", "secret")

    assert "('https://workflows.example.org')" in repr(client)


@pytest.mark.parametrize("missing", NAMES)
def test_what_is_missing_is_named(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch, missing: str
):
    for name in set(NAMES) - {missing}:
        monkeypatch.setenv(name, "https://workflows.example.org")

    with pytest.raises(NotConfigured, match=f"set {missing} in the environment"):
        open_client()


@pytest.mark.parametrize(
    "url", ["workflows.example.org", "https://me:secret@a.example.org", "https://a.b/?secret=1"]
)
def test_an_address_that_cannot_be_one_is_refused(open_client: OpenClient, url: str):
    with pytest.raises(NotConfigured, match="QSTASH_URL") as refused:
        open_client(url, "t")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("token", ["two words", "sécret", "a\nsecret"])
def test_a_token_that_cannot_be_one_is_refused_untold(open_client: OpenClient, token: str):
    with pytest.raises(NotConfigured, match="QSTASH_TOKEN") as refused:
        open_client("https://a.example.org", token)
    assert token not in str(refused.value)


def test_a_timeout_has_a_unit(open_client: OpenClient):
    untyped: Any = 30
    with pytest.raises(InvalidDuration, match="30s"):
        open_client("https://a.example.org", "t", timeout=untyped)


@pytest.mark.parametrize(
    ("workflow", "url"),
    [
        ("welcome", "https://a.example.org/serve/welcome"),
        ("shop/ä b", "https://a.example.org/serve/shop%2F%C3%A4%20b"),
        ("https://b.example.org/x?y=1", "https://b.example.org/x?y=1"),
    ],
)
def test_a_workflow_is_known_by_name_or_url(workflow: str, url: str):
    assert Connection.of("https://a.example.org", "t", None).workflow_url(workflow) == url


def test_workflows_may_be_served_elsewhere():
    connection = Connection.of("https://a.example.org", "t", "https://b.example.org/flows/")

    assert connection.workflow_url("welcome") == "https://b.example.org/flows/welcome"
    with pytest.raises(InvalidUrl):
        connection.workflow_url("https://")


# -- the two shells


def verbs(of: type) -> dict[str, str]:
    """The parameters of each verb."""
    return {
        name: str(inspect.signature(member).parameters)
        for name, member in vars(of).items()
        if callable(member) and not name.startswith("_")
    }


def test_both_clients_have_the_same_verbs():
    clients = Client("https://a.b", "t"), AsyncClient("https://a.b", "t")
    plain, awaited = (
        [verbs(type(each)) for each in (client, client.dlq, client.schedules)] for client in clients
    )
    clients[0].close()

    assert plain == awaited
    assert [len(each) for each in plain] == [13, 16, 6]


def test_a_trigger_has_the_options_of_the_verb():
    fields = inspect.signature(Trigger).parameters.keys()

    assert set(fields) == {"workflow", "body", *RunOptions.__optional_keys__}


def test_clients_are_closed_by_with():
    with Client("https://a.b", "t") as client:
        pass

    with pytest.raises(RuntimeError, match="closed"):
        client.logs()


async def test_asynchronous_clients_are_closed_by_async_with():
    async with AsyncClient("https://a.b", "t") as client:
        pass

    with pytest.raises(RuntimeError, match="closed"):
        await client.logs()


# -- what it needs


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_imported_without_django():
    program = "import sys; import workflows_app.client; print('django' in sys.modules)"

    assert run(program).stdout == "False\n"


def test_without_httpx_it_says_what_to_install():
    program = "import sys; sys.modules['httpx'] = None; import workflows_app.client"

    assert 'pip install "workflows_app[client]"' in run(program).stderr


def test_every_public_name_can_be_imported():
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
