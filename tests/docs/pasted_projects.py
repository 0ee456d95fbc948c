"""A project that is made by doing what a page says, in an empty directory."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

import requests

from tests.docs.pages import ROOT, Block
from tests.docs.sessions import Command, prints_as_expected, read_commands

_APPENDED = re.compile(r"[Aa]dd to the end of `([^`]+)`")
_WRITTEN = re.compile(r"(?:[Pp]ut|[Aa]nd) this into `([^`]+)`")
_SERVICES = ("runserver", "workflows worker", "workflows dev", "qcluster")
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
PATIENCE = 60.0
"""Seconds until a service must answer, and until a command must print what stands in the page."""


def install_into(directory: Path) -> None:
    """The package as a wheel brings it, apart from this checkout; what it needs is there."""
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *isolation]
    subprocess.run([*command, "--target", str(directory), str(ROOT)], check=True)


class PastedProject:
    """Leaves out what makes a virtual environment: the tests run in one that has it all."""

    def __init__(self, directory: Path, site: Path) -> None:
        self.directory = directory
        self.port = _free_port()
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._environment = {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}",
            "PYTHONPATH": str(site),
            "PYTHONUNBUFFERED": "1",
        }

    # -- doing what stands there

    def follow(self, blocks: list[Block]) -> None:
        for block in blocks:
            if block.language == "console":
                for command in read_commands(block):
                    self.perform(command)
            elif appended := _APPENDED.search(block.above):
                self._write(appended[1], f"\n{block.text}", mode="a")
            elif written := _WRITTEN.search(block.above):
                self._write(written[1], block.text, mode="w")
            else:
                raise AssertionError(f"line {block.line}: nobody says what this block is for")

    def _write(self, name: str, text: str, mode: str) -> None:
        path = self.directory / name
        assert path.parent.is_dir(), f"{name} has no directory"
        with path.open(mode) as file:
            file.write(text)

    def perform(self, command: Command) -> None:
        text = command.text.replace("8000", str(self.port))
        if "venv" in text or "pip install" in text:
            return
        service = next((name for name in _SERVICES if name in text), None)
        if service:
            self.start(service, text)
        else:
            self._expect(text, command.expected)

    def _expect(self, text: str, expected: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            done = self.run(text)
            if not expected and done.returncode == 0:
                return
            if done.returncode == 0 and prints_as_expected(done.stdout.strip(), expected):
                return
            if not expected or time.monotonic() > deadline:
                raise AssertionError(f"$ {text}\n{done.stdout}{done.stderr}\n{self.logs()}")
            time.sleep(0.2)

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", text],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    # -- services

    def start(self, service: str, text: str) -> None:
        if service == "runserver":
            text += " --noreload"
        with (self.directory / f"{service.replace(' ', '-')}.log").open("ab") as log:
            self._services[service] = subprocess.Popen(
                ["bash", "-c", f"exec env {text}"],
                cwd=self.directory,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if service == "runserver":
            self.wait_until(self._answers, "the web server answers")

    def end(self, service: str, how: signal.Signals) -> int:
        """End it as its terminal or its supervisor would; its exit status."""
        process = self._services.pop(service)
        if how is signal.SIGKILL:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        return process.wait(PATIENCE)

    def end_all(self) -> None:
        for process in self._services.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not reached: {what}\n{self.logs()}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    # -- what the quickstart's project knows

    def place_order(self) -> None:
        url = f"http://127.0.0.1:{self.port}/orders/"
        answer = requests.post(url, {"product": "teapot"}, timeout=10)
        assert answer.status_code == HTTPStatus.OK, answer.text

    def query(self, expression: str) -> str:
        code = f"from shop.models import *; from workflows_app.models import *; print({expression})"
        done = self.run(f"python manage.py shell -v 0 -c '{code}'")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def statuses(self) -> str:
        return self.query('list(Run.objects.order_by("id").values_list("status", flat=True))')

    def logs(self) -> str:
        return "\n".join(
            f"== {log.name}\n{log.read_text()[-4000:]}" for log in self.directory.glob("*.log")
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
