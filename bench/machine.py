"""The machine that the numbers belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg

from bench.databases import POSTGRES_URL
from bench.figures import percentile

_PACKAGES = ("Django", "django-q2", "psycopg", "dbos", "celery", "redis")


def describe() -> Iterator[str]:
    """Lines that say what the numbers were measured on."""
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    system = f"{platform.system()} {platform.machine()}"
    yield f"{os.cpu_count()} cores ({_cpu_model()}), {load}; {system}"
    yield (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"PostgreSQL {_postgres_version()}, Redis {_redis_version()}"
    )
    yield ", ".join(f"{name} {_package_version(name)}" for name in _PACKAGES)
    yield f"fsync of 4 KiB in {tempfile.gettempdir()}: p50 {_fsync_ms():.2f} ms"


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _postgres_version() -> str:
    try:
        with psycopg.connect(POSTGRES_URL, connect_timeout=3) as connection:
            number = connection.info.server_version
            settings = connection.execute(
                "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
            ).fetchone()
    except psycopg.OperationalError:
        return "not there"
    fsync, commit = settings or ("?", "?")
    return f"{number // 10000}.{number % 10000} (fsync {fsync}, synchronous_commit {commit})"


def _redis_version() -> str:
    with suppress(OSError, IndexError):
        command = ["redis-server", "--version"]
        words = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return words.partition("v=")[2].split()[0]
    return "not there"


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not there"


def _fsync_ms() -> float:
    took = []
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        for _ in range(100):
            file.write(b"\0" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - started)
    return percentile(took, 50) * 1000
