"""The workers of a development site, as programs to be kept running."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from django.apps import apps

from workflows_app.management import process_table
from workflows_app.management.console import Console
from workflows_app.management.processes import ProcessGroup, Program, manage
from workflows_app.management.wording import counted
from workflows_app.worker.lanes import Lane, workflow_lanes

COUNT_VARIABLE = "WORKFLOWS_WORKERS"
"""Where settings that make the number of workers changeable read it."""
BESIDE_WORKERS = 2
"""Processes that a cluster starts after its workers: the monitor, and the pusher last."""
SETTLED = 0.3
"""Seconds without another process after which a cluster has started all that it will."""


class Workers(Protocol):
    def programs(self) -> list[Program]: ...

    def are_up(self, groups: Sequence[ProcessGroup]) -> bool:
        """Whether the running programs would take up work now."""


class ClusterWorkers:
    """django-q2's cluster. It is up when all its processes have been forked.

    They are forked from one that has loaded everything they use, so nothing but the work itself is
    left to be done then.
    """

    def __init__(self, console: Console, lane: Lane, asked: int | None) -> None:
        self._console = console
        self._lane = lane
        self._asked = asked
        self._members: list[int] = []
        self._since = 0.0

    def programs(self) -> list[Program]:
        command = manage("qcluster", "--skip-checks")
        environment = self._lane.environment()
        return [Program(name="worker cluster", command=command, environment=environment)]

    def are_up(self, groups: Sequence[ProcessGroup]) -> bool:
        running = process_table.running()
        sentinels = process_table.children(running, [group.id for group in groups])
        members = process_table.children(running, sentinels)
        if members != self._members:
            self._members, self._since = members, time.monotonic()
        workers = len(members) - BESIDE_WORKERS
        if workers < 1 or time.monotonic() - self._since < SETTLED:
            return False
        if self._asked not in (None, workers):
            self._console.say(
                f"the cluster keeps {counted(workers, 'worker')}, not {self._asked}: "
                f'{self._lane.setting} does not take its "workers" from {COUNT_VARIABLE} in the '
                "environment"
            )
        return True


class ThreadWorkers:
    """Processes of `workflows worker`. Each says that it is up by making a file."""

    def __init__(self, count: int) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="workflows-")
        self._files = [Path(self._directory.name, f"ready-{number}") for number in range(count)]

    def programs(self) -> list[Program]:
        return [
            Program(
                name="worker",
                command=manage("workflows", "worker", "--ready-file", str(path)),
                environment=os.environ,
            )
            for path in self._files
        ]

    def are_up(self, groups: Sequence[ProcessGroup]) -> bool:
        return all(path.exists() for path in self._files)


def choose_workers(console: Console, count: int | None) -> Workers:
    """The cluster of django-q2, where the project has set one up for workflows."""
    lanes = workflow_lanes() if apps.is_installed("django_q") else []
    if not lanes:
        console.say("no cluster of django-q2 is set up for workflows: threads do the work")
        return ThreadWorkers(count or 1)
    if count is not None:
        os.environ[COUNT_VARIABLE] = str(count)
    return ClusterWorkers(console, lanes[0], count)
