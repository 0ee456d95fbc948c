"""The examples of docs/client.md, asked of a development server as the page says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.compat.server import Server, own_database, running
from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_blocks
from workflows_app.client import Client, errors
from workflows_app.client.options import RunOptions

PAGE = ROOT / "docs/client.md"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("client")
    with own_database("sqlite", directory) as database, running(database, directory) as server:
        yield server


@pytest.mark.processes
def test_its_examples_print_what_they_say(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QSTASH_URL", server.url)
    monkeypatch.setenv("QSTASH_TOKEN", server.main.token)
    names: dict[str, Any] = {"__name__": "docs.client"}

    try:
        run_examples(read_blocks(PAGE), PAGE.name, names)
    finally:
        for client in names.values():
            if isinstance(client, Client):
                client.close()


def test_every_option_of_a_trigger_stands_there():
    text = PAGE.read_text()

    assert [name for name in RunOptions.__optional_keys__ if f"`{name}`" not in text] == []


def test_every_error_stands_there():
    kinds = [
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ClientError)
    ]

    text = PAGE.read_text()
    assert [name for name in kinds if f"`{name}`" not in text] == []
