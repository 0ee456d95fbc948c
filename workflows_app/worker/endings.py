"""How the processes of a django-q2 cluster end: when asked to, and when their parent is killed.

A signal to all processes of a service must end them in the order in which django-q2 stops its
cluster, or they wait for each other for ever. And django-q2 leaves to themselves the processes
whose parent was killed: beside the cluster that a supervisor starts in their place they would work
on, with the code and the settings of before.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

logger = logging.getLogger("workflows_app")

LOOK = 0.5
"""Seconds between looks at who the parent is."""
ORDERLY = 2.0
"""Seconds that a process which is asked to end gives the cluster to stop it in order."""
LAST_WORDS = 5.0
"""Seconds after which a process that is held up in ending is ended hard."""

_preparations: list[Callable[[], None]] = []


def before_end(prepare: Callable[[], None]) -> None:
    """Have `prepare` called, in a thread, once this process is to end."""
    _preparations.append(prepare)


def prepare_sentinel(in_each: Callable[[int], None] = lambda sentinel: None) -> None:
    """For the sentinel, before it forks the others; `in_each` is called in each of these."""
    # Whoever signals all processes signals the main one too, which has the sentinel stop the rest.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sentinel = os.getpid()
    _watch_parent(os.getppid(), lambda: os._exit(1))

    def follow() -> None:
        # Not in what a worker forks in its turn.
        if os.getppid() == sentinel:
            _Ending().prepare(sentinel)
            in_each(sentinel)

    os.register_at_fork(after_in_child=follow)


class _Ending:
    """Of one process that the sentinel has forked."""

    def __init__(self) -> None:
        self._begun = threading.Lock()
        self._leaving = False

    def prepare(self, sentinel: int) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        _watch_parent(sentinel, lambda: self._begin(0.0))

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if self._leaving:
            sys.exit(0)
        self._begin(ORDERLY)

    def _begin(self, patience: float) -> None:
        if self._begun.acquire(blocking=False):
            threading.Thread(target=self._end, args=[patience], daemon=True).start()

    def _end(self, patience: float) -> None:
        for prepare in _preparations:
            try:
                prepare()
            except Exception:
                logger.exception("process %s ends unprepared", os.getpid())
        time.sleep(patience)
        # An exception in the main thread lets go of the locks of the queues that it holds.
        self._leaving = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LAST_WORDS)
        os._exit(1)


def _watch_parent(parent: int, then: Callable[[], None]) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        logger.warning("process %s ends, because its parent has ended", os.getpid())
        then()

    threading.Thread(target=watch, name="workflows-parent-watch", daemon=True).start()
