"""Keeps programs running in the foreground, and ends them together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from workflows_app.management import guardian
from workflows_app.management.console import Console
from workflows_app.management.processes import ProcessGroup, Program

PATIENCE = 8.0
"""Seconds that programs have to end by themselves, of the ten that they may take altogether."""
LOOK = 0.1
"""Seconds between looks at whether all still run."""
STEADY = 10.0
"""A program that ran for so many seconds is started again at once when it ends."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0


@dataclass(slots=True, eq=False)
class Kept:
    """A program, and its processes while it runs."""

    program: Program
    group: ProcessGroup | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    """When to start it, while it does not run."""
    pause: float = 0.0
    """Seconds that it was made to wait the last time."""


class Supervisor:
    """A context manager: programs start with `start`, and have ended when the block has."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kept: list[Kept] = []
        self._leaving: list[tuple[ProcessGroup, float]] = []
        self._guardian: subprocess.Popen[str] | None = None
        self._asked_to_stop = threading.Event()

    def __enter__(self) -> Supervisor:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop_soon)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, self._stop_soon)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_all()

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop.set()

    def start(self, programs: Sequence[Program]) -> None:
        self._kept = [Kept(program) for program in programs]
        self._look_after_all()

    def running(self) -> list[ProcessGroup]:
        """Those that run now, in the order of the programs."""
        return [kept.group for kept in self._kept if kept.group is not None]

    def keep(self, until: Callable[[], bool], seconds: float | None = None) -> bool:
        """Keep all running until `until()` is true, and say so; False when asked to stop before.

        Raises TimeoutError after `seconds`.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._asked_to_stop.is_set():
            self._look_after_all()
            if until():
                return True
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            self._asked_to_stop.wait(LOOK)
        return False

    def keep_until_stopped(self) -> None:
        self.keep(lambda: False)

    # -- looking after them

    def _look_after_all(self) -> None:
        self._look_after_guardian()
        for kept in self._kept:
            self._look_after(kept)
        self._see_off(time.monotonic())

    def _look_after(self, kept: Kept) -> None:
        now = time.monotonic()
        if kept.group is None:
            if now >= kept.start_at:
                self._start(kept)
            return
        status = kept.group.status()
        if status is None:
            return
        self._console.say(f"the {kept.program.name} has ended ({_describe(status)}); starting anew")
        kept.group.ask_to_end()
        self._leaving.append((kept.group, now + PATIENCE))
        was_steady = now - kept.started_at > STEADY
        kept.pause = 0.0 if was_steady else min(max(2 * kept.pause, FIRST_PAUSE), LONGEST_PAUSE)
        kept.start_at = now + kept.pause
        kept.group = None

    def _start(self, kept: Kept) -> None:
        kept.started_at = time.monotonic()
        kept.group = ProcessGroup(kept.program)
        self._tell_guardian("+", kept.group)

    def _see_off(self, now: float) -> None:
        """Forget the groups of which nothing is left; kill what does not leave."""
        for group, deadline in list(self._leaving):
            gone = group.is_gone()
            if not gone and now > deadline:
                group.kill()
            if gone or now > deadline:
                self._leaving.remove((group, deadline))
                self._tell_guardian("-", group)

    def _end_all(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for group in self.running():
            group.ask_to_end()
            self._leaving.append((group, deadline))
        self._kept = []
        while self._leaving:
            self._see_off(time.monotonic())
            time.sleep(0.02)
        self._dismiss_guardian()

    # -- in case of sudden death

    def _look_after_guardian(self) -> None:
        if self._guardian is not None and self._guardian.poll() is None:
            return
        self._guardian = subprocess.Popen(  # noqa: S603 - a file of this package
            [sys.executable, "-IS", str(Path(guardian.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        for group in [*self.running(), *(group for group, _ in self._leaving)]:
            self._tell_guardian("+", group)

    def _tell_guardian(self, sign: str, group: ProcessGroup) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            with suppress(OSError):  # it has died; the next one hears of all groups
                self._guardian.stdin.write(f"{sign}{group.id}\n")
                self._guardian.stdin.flush()

    def _dismiss_guardian(self) -> None:
        if self._guardian is not None:
            self._guardian.communicate()
            self._guardian = None


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
