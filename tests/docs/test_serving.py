"""The site of docs/serving.md runs as it stands there, beside a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.server import Server, own_database, running
from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_code
from tests.docs.test_clients import ports, reader_of
from workflows_app.serving.options import Options

__all__ = ["ports"]

PAGE = ROOT / "docs/serving.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("serving")
    with own_database("sqlite", directory) as database, running(database, directory) as server:
        yield server


@pytest.mark.processes
def test_the_site_serves_its_workflows(tmp_path: Path, server: Server, ports: dict[str, str]):
    reader = reader_of(tmp_path, server, ports)
    try:
        reader.follow(read_code(PAGE, ("python", "console"), "A site"))
        reader.follow(read_code(PAGE, ("console",), "Who may start runs"))
    finally:
        reader.close()


@pytest.mark.usefixtures("own_registry")
def test_a_payload_is_validated_as_it_stands_there():
    blocks = read_code(PAGE, ("python", "pycon"), "Options")

    run_examples(blocks, PAGE.name, {"__name__": "docs.serving"})


def test_every_option_is_on_the_page():
    page = PAGE.read_text()

    assert [name for name in Options.__annotations__ if f"`{name}`" not in page] == []
