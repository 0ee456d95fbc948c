"""Real programs for these tests: small ones in Python, and the project's own commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workflows_app.management import process_table
from workflows_app.management.processes import Program

ROOT = Path(__file__).resolve().parents[2]


def program(code: str, name: str = "program") -> Program:
    command = [sys.executable, "-IS", "-c", code]
    return Program(name=name, command=command, environment=os.environ)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """How long it took. Fails when it takes longer than `seconds`."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < seconds, f"after {waited:.1f} s not yet: {what}"
        time.sleep(0.02)
    return time.monotonic() - started


def runs(pid: int) -> bool:
    return any(process.pid == pid for process in process_table.running())


def offspring(pid: int) -> set[int]:
    """All that descend from a process and run."""
    processes = process_table.running()
    found: set[int] = set()
    generation = process_table.children(processes, [pid])
    while generation:
        found.update(generation)
        generation = process_table.children(processes, generation)
    return found


class Command:
    """`manage.py workflows ...` at work, as from a terminal of its own."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self.log = log
        self._output = log.with_suffix(".out")
        with log.open("ab") as stderr, self._output.open("wb") as stdout:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "workflows", *arguments],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._seen: set[int] = set()

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> list[str]:
        """What it has written to stdout."""
        return self._output.read_text().splitlines()

    def wait_for_line(self, start: str, seconds: float = 30) -> str:
        def found() -> bool:
            assert self._process.poll() is None or self._has(start), self.log.read_text()
            return self._has(start)

        wait_until(found, seconds, f"{start!r}; it wrote {self.log}")
        self._seen |= offspring(self.pid)
        return next(line for line in self.lines() if line.startswith(start))

    def _has(self, start: str) -> bool:
        return any(line.startswith(start) for line in self.lines())

    def offspring(self) -> set[int]:
        self._seen |= offspring(self.pid)
        return offspring(self.pid)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def wait_until_all_gone(self, seconds: float) -> None:
        """The command, and every process that was ever seen to descend from it."""
        everyone = {self.pid, *self._seen}
        wait_until(
            lambda: not any(process.pid in everyone for process in process_table.running()),
            seconds,
            "the end of all its processes",
        )

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        everyone = self._seen | offspring(self.pid)
        self._process.kill()
        self._process.wait()
        for pid in everyone:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
