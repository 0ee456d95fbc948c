"""The services of docs/clients.md run as they stand there, beside a server of their own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compat.installs import node_project, require_node
from tests.compat.server import Server, own_database, running
from tests.docs.pages import ROOT, Block, read_blocks, read_code
from tests.docs.sessions import Command, prints_as_expected, read_commands

PAGE = ROOT / "docs/clients.md"
README = ROOT / "README.md"
PATIENCE = 30.0

_FILE = re.compile(r"[Pp]ut this into `([^`]+)`")
_PORT = re.compile(r"\b300\d\b")
_SERVICE = re.compile(r"node (server|shop)\.mjs|uvicorn|flask .* run")

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


class Reader:
    """Who does what the page says, in one directory."""

    def __init__(self, directory: Path, server: Server, ports: dict[str, str]) -> None:
        self._directory = directory
        self._ports = ports
        self._services: list[subprocess.Popen[bytes]] = []
        main = server.main
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "QSTASH_URL": server.url,
            "QSTASH_TOKEN": main.token,
            "QSTASH_CURRENT_SIGNING_KEY": main.current_key,
            "QSTASH_NEXT_SIGNING_KEY": main.next_key,
        }

    def follow(self, blocks: list[Block]) -> None:
        for block in blocks:
            if block.language == "console":
                for command in read_commands(block):
                    self._perform(command)
            elif written := _FILE.search(block.above):
                (self._directory / written[1]).write_text(self._here(block.text))

    def run(self, text: str) -> str:
        done = subprocess.run(
            ["bash", "-c", self._here(text)],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"$ {text}\n{done.stdout}{done.stderr}\n{self._logs()}"
        return done.stdout.strip()

    def close(self) -> None:
        for service in self._services:
            service.kill()
            service.wait()

    def _perform(self, command: Command) -> None:
        if " install " in command.text:
            return
        if _SERVICE.search(command.text):
            self._start(command.text)
            return
        printed = self.run(command.text)
        assert prints_as_expected(printed, command.expected), f"$ {command.text}\n{printed}"

    def _start(self, text: str) -> None:
        log = self._directory / f"{len(self._services)}.log"
        with log.open("wb") as output:
            service = subprocess.Popen(
                ["bash", "-c", f"exec {self._here(text)}"],
                cwd=self._directory,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        self._services.append(service)
        port = self._port_of(text)
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            assert service.poll() is None and time.monotonic() < deadline, self._logs()
            time.sleep(0.05)

    def _port_of(self, text: str) -> int:
        """As the command says, or the program that it starts."""
        script = re.search(r"(\w+\.mjs)", text)
        says = (self._directory / script[1]).read_text() if script else self._here(text)
        found = [port for port in self._ports.values() if port in says]
        return int(found[0])

    def _here(self, text: str) -> str:
        return _PORT.sub(lambda match: self._ports[match[0]], text)

    def _logs(self) -> str:
        return "\n".join(log.read_text()[-2000:] for log in self._directory.glob("*.log"))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_services_in_javascript_and_the_request_of_go_work(
    tmp_path: Path, server: Server, ports: dict[str, str], stack: ExitStack
):
    reader = Reader(node_project("js", tmp_path), server, ports)
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
    reader = Reader(tmp_path, server, ports)
    stack.callback(reader.close)

    reader.follow(read_code(PAGE, ("python", "console"), "Python"))


def test_every_program_of_the_page_is_tried():
    programs = [block for block in read_blocks(PAGE) if block.language in ("js", "python")]

    assert all(_FILE.search(block.above) for block in programs)


def test_the_development_server_prints_what_stands_there(server: Server):
    (printed,) = read_code(PAGE, ("text",), "What a service is told")[:1]

    assert {
        f"QSTASH_TOKEN={server.main.token}",
        f"QSTASH_CURRENT_SIGNING_KEY={server.main.current_key}",
        f"QSTASH_NEXT_SIGNING_KEY={server.main.next_key}",
    } <= set(printed.text.splitlines())
