"""Ends a django-q2 cluster that no longer works, so that its supervisor starts a new one.

Killing a process that reads from or writes to a queue can leave the dead one holding the queue's
lock: an idle worker does so always, and the cluster then looks alive and does nothing. What gives
it away is that the bell rings and nobody answers, or that what workers report is not taken.

A worker that is killed while it holds the lock of its own timer stops the sentinel, which looks at
the timers of all workers in turn: nobody takes the place of the dead any more, and nobody stops the
cluster when it is asked to. What gives that away is that the sentinel does not go its rounds.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Protocol

from workflows_app.conf import get_settings

logger = logging.getLogger("workflows_app")


class SharedTime(Protocol):
    """`time.monotonic()` of the last answer, in memory that the cluster's processes share.

    Without a lock: a process that is killed while it holds one would silence all others.
    """

    @property
    def value(self) -> float: ...


class Calls:
    """How long the oldest call that nobody has answered has been waiting."""

    def __init__(self, answered: SharedTime) -> None:
        self._answered = answered
        self._lock = threading.Lock()
        self._since: float | None = None

    def call(self, at: float) -> None:
        with self._lock:
            if self._since is None or self._answered.value >= self._since:
                self._since = at

    def silence(self) -> float:
        """Seconds."""
        with self._lock:
            if self._since is None or self._answered.value >= self._since:
                return 0.0
            return time.monotonic() - self._since


class Watchdog:
    """Lives in a thread of the cluster's pusher process, since the pusher may be blocked."""

    def __init__(self, answered: SharedTime, reported: SharedTime, sentinel: int) -> None:
        self._answered = answered
        self._rings = Calls(answered)
        self._reports = Calls(reported)
        self._sentinel = sentinel

    def start(self) -> None:
        threading.Thread(target=self._watch, name="cluster-watchdog", daemon=True).start()

    def rang(self) -> None:
        self._rings.call(time.monotonic())

    def silence(self) -> float:
        """Seconds since the oldest ring that no worker has answered, or the oldest answer that
        the monitor has not taken.
        """
        if self._answered.value:
            self._reports.call(self._answered.value)
        return max(self._rings.silence(), self._reports.silence())

    def _watch(self) -> None:
        limit = get_settings().WATCHDOG.total_seconds()
        while True:
            time.sleep(min(1.0, limit / 4))
            if self.silence() > limit:
                logger.critical(
                    "nobody answered the doorbell for %s s; the cluster is ended", limit
                )
                # What it has started ends with it (`worker.endings`), and so does `qcluster`.
                os.kill(self._sentinel, signal.SIGKILL)
                return


class RoundsWatch:
    """Lives in a thread of each process that the sentinel has forked: any of them may be killed."""

    def __init__(self, went_round: SharedTime, sentinel: int) -> None:
        self._went_round = went_round
        self._sentinel = sentinel

    def start(self) -> None:
        threading.Thread(target=self._watch, name="sentinel-watch", daemon=True).start()

    def _watch(self) -> None:
        limit = get_settings().WATCHDOG.total_seconds()
        look = min(1.0, limit / 4)
        last, still = self._went_round.value, 0.0
        # Counted by looks: time in which all processes stood still says nothing.
        while still <= limit:
            time.sleep(look)
            now = self._went_round.value
            last, still = now, still + look if now == last else 0.0
        logger.critical("the sentinel has stood still for %s s; the cluster is ended", limit)
        with suppress(ProcessLookupError):
            os.kill(self._sentinel, signal.SIGKILL)
