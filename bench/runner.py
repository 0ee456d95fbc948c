"""Runs one job: a directory, a storage and a process group of its own, all gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.databases import prepared, synchronous
from bench.jobs import Figures, Job, read_answer
from bench.plan import Contestant
from bench.processes import end_group

ROOT = Path(__file__).parent.parent

#: A job that takes longer than this (seconds) is ended and counts as broken.
LIMIT = 180
#: Of measures that store more before they begin.
LIMITS = {"console": 1_800}


class JobFailed(Exception):
    """A contestant's process broke; the message ends with what it last wrote to stderr."""


def run(contestant: Contestant, job: Job) -> Figures:
    """The figures of one job. Raises JobFailed."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with prepared(job.storage, directory) as url:
            return _in_its_own_process(contestant, job, url, directory)


def _in_its_own_process(contestant: Contestant, job: Job, url: str, directory: Path) -> Figures:
    limit = LIMITS.get(job.measure, LIMIT)
    out, log = directory / "stdout", directory / "stderr"
    with out.open("w") as stdout, log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", contestant.module, job.to_json()],
            cwd=ROOT,
            env=_environment(contestant, job, url, directory),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise JobFailed(_told(f"not done after {limit} s", log)) from None
        finally:
            end_group(process.pid)
            process.wait()
    if status:
        raise JobFailed(_told(f"exit status {status}", log))
    return read_answer(out.read_text())


def _environment(contestant: Contestant, job: Job, url: str, directory: Path) -> dict[str, str]:
    own = {
        "DATABASE_URL": url,
        "BENCH_DIRECTORY": str(directory),
        "SQLITE_SYNCHRONOUS": synchronous(job.storage),
        "SECRET_KEY": "bench-only",
        "DEBUG": "0",
        "PYTHONWARNINGS": "ignore",
    }
    if contestant.settings:
        own["DJANGO_SETTINGS_MODULE"] = contestant.settings
    return os.environ | own


def _told(reason: str, log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n      ".join([reason, *lines[-30:]])
