"""A program with all the processes that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from workflows_app.management import process_table

STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Something to be kept running; `name` is for people."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


class ProcessGroup:
    """A program at work, in a session of its own: Ctrl-C in the terminal does not reach it."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        self._leader = subprocess.Popen(  # noqa: S603 - commands of this project
            program.command,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=STDERR,
            start_new_session=True,
        )

    @property
    def id(self) -> int:
        return self._leader.pid

    def status(self) -> int | None:
        """The exit status of the program itself; None while it runs."""
        return self._leader.poll()

    def is_gone(self) -> bool:
        """Whether nothing of it runs, neither the program nor what it started."""
        return self.status() is not None and not any(
            process.group == self.id for process in process_table.running()
        )

    def ask_to_end(self) -> None:
        """Ask the program, which knows how to end the others; where it has died, ask them."""
        if self.status() is None:
            self._leader.terminate()
        else:
            self._signal_all(signal.SIGTERM)

    def kill(self) -> None:
        self._signal_all(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._leader.wait(1)

    def _signal_all(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.id, number)


def manage(*arguments: str) -> list[str]:
    """The command line of another management command of this project."""
    program = sys.argv[0]
    start = ["-m", "django"] if program.endswith("__main__.py") else [program]
    return [sys.executable, *start, *arguments]
