"""When each task started, written by the tasks themselves to one file that all append to."""

from __future__ import annotations

import os
import struct
import time
from functools import cache
from pathlib import Path

_RECORD = struct.Struct("<qq")


def _path() -> Path:
    return Path(os.environ["BENCH_DIRECTORY"]) / "stamps"


@cache
def _descriptor() -> int:
    return os.open(_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def stamp(task: int) -> None:
    """Note that this task starts now. Takes about 3 microseconds; safe from several processes."""
    os.write(_descriptor(), _RECORD.pack(task, time.time_ns()))


def count() -> int:
    """How many tasks have started."""
    return _path().stat().st_size // _RECORD.size if _path().exists() else 0


def starts() -> dict[int, float]:
    """Task → when it started, in seconds of the wall clock."""
    return {
        task: nanoseconds / 1e9 for task, nanoseconds in _RECORD.iter_unpack(_path().read_bytes())
    }
