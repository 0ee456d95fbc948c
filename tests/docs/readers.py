"""Somebody who does what a page of clients says: writes its programs, starts its services."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.docs.pages import Block
from tests.docs.sessions import Command, prints_as_expected, read_commands

PATIENCE = 30.0
WRITTEN = re.compile(r"[Pp]ut this into `([^`]+)`")

_PORT = re.compile(r"\b300\d\b")
_SERVICE = re.compile(r"node (server|shop)\.mjs|uvicorn|flask .* run")


class Reader:
    """In one directory, with free ports in place of those on the page."""

    def __init__(
        self, directory: Path, environment: Mapping[str, str], ports: Mapping[str, str]
    ) -> None:
        self._directory = directory
        self._ports = ports
        self._services: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            **environment,
        }

    def follow(self, blocks: list[Block]) -> None:
        for block in blocks:
            if block.language == "console":
                for command in read_commands(block):
                    self._perform(command)
            elif written := WRITTEN.search(block.above):
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
