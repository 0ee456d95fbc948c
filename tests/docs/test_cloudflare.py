"""The programs of docs/cloudflare.md run as they stand there, beside a server with its workflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.compat.installs import node_project
from tests.compat.server import Server, importing, own_database, running
from tests.docs.pages import ROOT, read_blocks, read_code
from tests.docs.readers import WRITTEN, Reader

PAGE = ROOT / "docs/cloudflare.md"

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("cloudflare")
    (code,) = read_code(PAGE, ("python",), "What a client is told")
    (directory / "orders").mkdir()
    (directory / "orders/__init__.py").touch()
    (directory / "orders/workflows.py").write_text(code.text)
    app = importing("orders", directory)
    with own_database("sqlite", directory) as database, running(database, directory, **app) as one:
        yield one


def reader_of(directory: Path, server: Server) -> Reader:
    environment = {
        "CLOUDFLARE_BASE_URL": f"{server.url}/client/v4",
        "CLOUDFLARE_ACCOUNT_ID": server.main.account_id,
        "CLOUDFLARE_API_TOKEN": server.main.token,
    }
    return Reader(directory, environment, {})


def test_the_programs_in_python_and_in_javascript_work(tmp_path: Path, server: Server):
    with closing(reader_of(node_project("js", tmp_path), server)) as reader:
        reader.follow(read_code(PAGE, ("python", "console"), "Python"))
        reader.follow(read_code(PAGE, ("js", "console"), "JavaScript"))


def test_the_program_that_pauses_and_restarts_works(tmp_path: Path, server: Server):
    with closing(reader_of(tmp_path, server)) as reader:
        section = "Pausing, restarting, terminating"
        reader.follow(read_code(PAGE, ("python", "console"), section))


def test_every_program_of_the_page_is_tried():
    programs = [block for block in read_blocks(PAGE) if block.language in ("js", "python")]

    assert all(WRITTEN.search(block.above) for block in programs)


def test_the_development_server_prints_what_stands_there(server: Server):
    (printed,) = read_code(PAGE, ("text",), "What a client is told")

    assert f"CLOUDFLARE_API_TOKEN={server.main.token}" in printed.text.splitlines()
