"""The services of docs/clients.md run as they stand there, beside a server of their own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compat.installs import node_project, require_node
from tests.compat.server import Server, own_database, running
from tests.docs.pages import ROOT, read_blocks, read_code
from tests.docs.readers import WRITTEN, Reader

PAGE = ROOT / "docs/clients.md"
README = ROOT / "README.md"

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("clients")
    with own_database("sqlite", directory) as database, running(database, directory) as server:
        yield server


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    """Free ones in place of those on the page."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(10)]
    found = {f"300{n}": str(each.getsockname()[1]) for n, each in enumerate(taken)}
    for each in taken:
        each.close()
    return found


def reader_of(directory: Path, server: Server, ports: dict[str, str]) -> Reader:
    main = server.main
    environment = {
        "QSTASH_URL": server.url,
        "QSTASH_TOKEN": main.token,
        "QSTASH_CURRENT_SIGNING_KEY": main.current_key,
        "QSTASH_NEXT_SIGNING_KEY": main.next_key,
    }
    return Reader(directory, environment, ports)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_services_in_javascript_and_the_request_of_go_work(
    tmp_path: Path, server: Server, ports: dict[str, str], stack: ExitStack
):
    reader = reader_of(node_project("js", tmp_path), server, ports)
    stack.callback(reader.close)

    reader.follow(read_code(PAGE, ("js", "console"), "JavaScript"))
    reader.follow(read_code(PAGE, ("console",), "Go"))

    loaded = reader.run("node -e 'import(\"./route.mjs\").then(m => console.log(typeof m.POST))'")
    assert loaded == "function"


def test_the_service_in_the_readme_is_javascript(tmp_path: Path):
    require_node()
    (block,) = [each for each in read_blocks(README) if each.language == "js"]
    file = tmp_path / "service.mjs"
    file.write_text(block.text)

    subprocess.run(["node", "--check", str(file)], check=True)


def test_the_services_in_python_work(
    tmp_path: Path, server: Server, ports: dict[str, str], stack: ExitStack
):
    reader = reader_of(tmp_path, server, ports)
    stack.callback(reader.close)

    reader.follow(read_code(PAGE, ("python", "console"), "Python"))


def test_every_program_of_the_page_is_tried():
    programs = [block for block in read_blocks(PAGE) if block.language in ("js", "python")]

    assert all(WRITTEN.search(block.above) for block in programs)


def test_the_development_server_prints_what_stands_there(server: Server):
    (printed,) = read_code(PAGE, ("text",), "What a service is told")[:1]

    assert {
        f"QSTASH_TOKEN={server.main.token}",
        f"QSTASH_CURRENT_SIGNING_KEY={server.main.current_key}",
        f"QSTASH_NEXT_SIGNING_KEY={server.main.next_key}",
    } <= set(printed.text.splitlines())
