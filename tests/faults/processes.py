"""Processes of the fault tests: a supervised cluster, and web processes. Linux only (/proc)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.faults.databases import ROOT

T = TypeVar("T")

_ROLES = {
    "ready for work": "worker",
    "monitoring": "monitor",
    "pushing tasks": "pusher",
}
_TOLD_ROLE = re.compile(rf"Process-\w+ ({'|'.join(_ROLES)}) at (\d+)")


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str | Callable[[], str]
) -> float:
    """How long it took. Fails when it takes longer than `seconds`."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        told = what if isinstance(what, str) or waited < seconds else what()
        assert waited < seconds, f"after {waited:.1f} s not yet: {told}"
        time.sleep(0.02)
    return time.monotonic() - started


def soon(ask: Callable[[], T | None], what: str, seconds: float = 20) -> T:
    """The first answer that is not empty: for a moment after a kill there may be none."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"after {seconds} s there is not yet {what}"
        time.sleep(0.02)
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A living process of a group."""

    pid: int
    parent: int


def members_of(group: int) -> dict[int, Member]:
    """By process id, without those that have ended and were not waited for."""
    members = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stat = (entry / "stat").read_text()
            state, parent, process_group = stat.rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                pid = int(entry.name)
                members[pid] = Member(pid=pid, parent=int(parent))
    return members


class Cluster:
    """`manage.py qcluster`, started again whenever it ends, as by a supervisor."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment)
        self._log = log
        self._wanted = True
        self.groups: list[int] = []
        """The process groups of all clusters so far; a group is named by its first process."""
        self._process = self._start()
        threading.Thread(target=self._supervise, daemon=True).start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"],
                cwd=ROOT,
                env=self._environment,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        self.groups.append(process.pid)
        return process

    def _supervise(self) -> None:
        while self._wanted:
            self._process.wait()
            if self._wanted:
                self._process = self._start()

    @property
    def main(self) -> int:
        return self._process.pid

    def sentinel(self) -> int | None:
        children = [one.pid for one in members_of(self.main).values() if one.parent == self.main]
        return children[0] if children else None

    def having(self, role: str) -> list[int]:
        """Process ids of the workers, the pusher or the monitor of the cluster that now runs."""
        sentinel, members = self.sentinel(), members_of(self.main)
        told = {int(pid): _ROLES[role] for role, pid in _TOLD_ROLE.findall(self.log())}
        return [
            pid
            for pid, member in members.items()
            if member.parent == sentinel and told.get(pid) == role
        ]

    def wait_until_running(self, workers: int, seconds: float = 20) -> None:
        wait_until(
            lambda: len(self.having("worker")) == workers and bool(self.having("pusher")),
            seconds,
            f"{workers} workers and a pusher",
        )

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_tree(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.main, signal.SIGKILL)

    def stop(self, signalled: Callable[[int], None], seconds: float) -> float:
        """End it for good. How long it took until the last of its processes was gone."""
        self._wanted = False
        started = time.monotonic()
        signalled(self.main)
        self._process.wait(seconds)
        wait_until(lambda: not members_of(self.main), seconds, "the end of all processes")
        return time.monotonic() - started

    def left_behind(self) -> dict[int, list[int]]:
        """Living processes of clusters that were replaced, by their group."""
        return {group: pids for group in self.groups[:-1] if (pids := list(members_of(group)))}

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        self._wanted = False
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._process.wait()


class Web:
    """A process that triggers runs; `accepted` has the ids that it has printed."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, count: int, pause: float, *names: str
    ) -> None:
        command = [sys.executable, "-m", "tests.faults.app.web", str(count), str(pause), *names]
        self.accepted: list[str] = []
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # Of a process that was killed the last line may lack its end.
            if line.endswith("\n"):
                self.accepted.append(line.strip())

    def wait(self, seconds: float) -> list[str]:
        """Until it has triggered everything."""
        assert self._process.wait(seconds) == 0
        self._reader.join(seconds)
        return self.accepted

    def kill(self) -> list[str]:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self.accepted
