"""Which processes run, whose children they are, and to which group they belong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflows_app.management import process_table
from workflows_app.management.process_table import Process

pytestmark = pytest.mark.processes


@pytest.fixture(params=["/proc", "ps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find out, where this system has them."""
    if request.param == "ps":
        monkeypatch.setattr(process_table, "PROC", Path("/nowhere"))
        if shutil.which("ps") is None:
            pytest.skip("there is no ps here")
    elif not process_table.PROC.exists():
        pytest.skip("there is no /proc here")
    return str(request.param)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-IS", "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("way")
def test_a_child_is_seen_with_its_parent_and_its_group(child: subprocess.Popen[bytes]) -> None:
    processes = process_table.running()

    assert Process(pid=child.pid, parent=os.getpid(), group=os.getpgrp()) in processes
    assert child.pid in process_table.children(processes, [os.getpid()])


@pytest.mark.usefixtures("way")
def test_what_has_ended_runs_no_more_though_nobody_has_waited_for_it(
    child: subprocess.Popen[bytes],
) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert child.pid not in {process.pid for process in process_table.running()}
