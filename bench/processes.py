"""Processes of a contestant: starting and ending them, and their CPU time. Linux only (/proc)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def running(*command: str) -> Iterator[int]:
    """Run a server while the block lasts; yields its process id. It writes to our stderr.

    It is killed with all its descendants: what it holds is thrown away anyway, and a graceful end
    would take a cluster a second.
    """
    process = subprocess.Popen(command, stdout=sys.stderr, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended by itself (status {process.returncode})")
    finally:
        for pid in _tree(process.pid, _stats()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def end_group(group: int) -> None:
    """End every process of a process group: SIGTERM, and SIGKILL to what is left after 3 s."""
    for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0)):
        with suppress(ProcessLookupError):
            os.killpg(group, number)
        with suppress(TimeoutError):
            wait_until(lambda: not _has_living(group), seconds=patience)
            break


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> None:
    """Wait for the condition. Raises TimeoutError when it does not come true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{getattr(condition, '__name__', 'condition')} not met in {seconds} s"
            )
        time.sleep(every)


def free_port() -> int:
    """On the loopback interface."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
        return port


def answers(address: str) -> bool:
    """Whether somebody listens at this host and port."""
    host, _, port = address.partition(":")
    with closing(socket.socket()) as client:
        return client.connect_ex((host, int(port))) == 0


def cpu_seconds(root: int) -> float:
    """CPU time that a process, its living descendants and their ended children have used so far."""
    stats = _stats()
    return sum(stats[pid].cpu for pid in _tree(root, stats))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    """What /proc tells of a process."""

    parent: int
    group: int
    is_zombie: bool
    cpu: float


def _stats() -> dict[int, _Stat]:
    stats = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # The second field, the name in brackets, may hold blanks; state and parent follow it.
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            cpu = sum(map(int, fields[11:15])) / _TICKS
            stats[int(path.name)] = _Stat(
                parent=int(fields[1]), group=int(fields[2]), is_zombie=fields[0] == "Z", cpu=cpu
            )
    return stats


def _has_living(group: int) -> bool:
    return any(stat.group == group and not stat.is_zombie for stat in _stats().values())


def _tree(root: int, stats: dict[int, _Stat]) -> list[int]:
    """The process and its living descendants."""
    tree = [root] if root in stats else []
    for pid in tree:
        tree += [child for child, stat in stats.items() if stat.parent == pid]
    return tree


def idle_share(root: int, seconds: float) -> float:
    """Percent of one core that a process tree uses while nothing is asked of it."""
    before = cpu_seconds(root)
    time.sleep(seconds)
    return (cpu_seconds(root) - before) / seconds * 100
