"""django-q2's broker: answers `dequeue` with a doorbell instead of a queue.

Set `Q_CLUSTER["broker_class"]` to "workflows_app.worker.broker.DoorbellBroker". The cluster's
workers
then run `worker.tasks.drain`, and nothing else: state never passes through django-q2.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import uuid
from typing import Any, NoReturn

from django_q.brokers import Broker
from django_q.signals import post_spawn
from django_q.signing import SignedPackage

from workflows_app.engine import clock
from workflows_app.errors import Refused
from workflows_app.worker import endings, tasks
from workflows_app.worker.doorbell import Doorbell
from workflows_app.worker.watchdog import RoundsWatch, Watchdog

PATIENCE = 0.5
"""Seconds that one `dequeue` may take, so that the cluster can be stopped."""


class DoorbellBroker(Broker):  # type: ignore[misc]  # django-q2 ships no types
    """One per cluster; made before its processes are forked, which share the times in `tasks`."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key)
        self._package: str | None = None
        self._doorbell: Doorbell | None = None
        self._watchdog: Watchdog | None = None

    def dequeue(self) -> list[tuple[str, str]] | None:
        """Wait until something is due; then a task that says only "drain"."""
        if self._doorbell is None or self._watchdog is None:
            self._doorbell = Doorbell()
            self._watchdog = Watchdog(tasks.answered, tasks.reported, sentinel=os.getppid())
            self._watchdog.start()
        if not self._doorbell.wait(PATIENCE):
            return None
        self._watchdog.rang()
        return [("doorbell", self._task())]

    def _task(self) -> str:
        if self._package is None:
            self._package = SignedPackage.dumps(
                {
                    "id": uuid.uuid4().hex,
                    "name": "drain",
                    "func": "workflows_app.worker.tasks.drain",
                    "args": (),
                    "kwargs": {},
                    "started": clock.now(),
                    "ack_failure": True,
                }
            )
        return self._package

    def enqueue(self, task: Any) -> NoReturn:
        raise Refused(
            "this cluster works on workflows and takes no tasks; give the workflows a lane of "
            'their own in Q_CLUSTER["ALT_CLUSTERS"] and keep your tasks in the default one '
            "(docs/deploy.md)"
        )

    def acknowledge(self, task_id: str) -> None:
        """Called by the cluster's monitor for each report that it takes."""
        tasks.reported.value = time.monotonic()

    def queue_size(self) -> int:
        return 0

    def lock_size(self) -> int:
        return 0

    def ping(self) -> bool:
        """Called by the sentinel before it starts the other processes, and by monitoring commands,
        whose processes nobody has forked.
        """
        if multiprocessing.parent_process() is not None:
            endings.prepare_sentinel(_watch_rounds)
            # The workers are forked later, and have it from their parent.
            post_spawn.connect(tasks.spawned, dispatch_uid="workflows_app.worker")
        return True

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Called by the sentinel each time it has gone its round."""
        tasks.went_round.value = time.monotonic()
        super().set_stat(key, value, timeout)

    def info(self) -> str:
        return "Workflows doorbell"


def _watch_rounds(sentinel: int) -> None:
    RoundsWatch(tasks.went_round, sentinel).start()
