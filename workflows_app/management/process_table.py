"""The processes of this machine, as far as looking after a few of them needs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """One that runs. Those that have ended and that nobody has waited for are not listed."""

    pid: int
    parent: int
    group: int


def running() -> list[Process]:
    rows = _from_proc() if (PROC / "self/stat").exists() else _from_ps()
    return [
        Process(int(pid), int(parent), int(group))
        for pid, state, parent, group in rows
        if state[0] not in "ZX"
    ]


def children(processes: Iterable[Process], parents: Iterable[int]) -> list[int]:
    wanted = set(parents)
    return [process.pid for process in processes if process.parent in wanted]


def _from_proc() -> Iterator[tuple[str, str, str, str]]:
    # Asked for their files as well, it would itself fail at a process that ends meanwhile.
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):
            state, parent, group, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            yield entry.name, state, parent, group


def _from_ps() -> Iterator[tuple[str, str, str, str]]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,stat=,ppid=,pgid="],  # noqa: S607 - where it lies differs
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines():
        pid, state, parent, group = line.split()
        yield pid, state, parent, group
