"""Worker processes, as far as a test can have them within its own: crews that hear the doorbell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connections

from workflows_app.engine.drain import Crew
from workflows_app.models import Run
from workflows_app.worker.doorbell import Doorbell

PATIENCE = 20
"""Seconds after which a story is taken to have got stuck."""


class Worker:
    """Four threads, and one that waits at the doorbell for them. A process has one at a time."""

    def __init__(self) -> None:
        self._crew = Crew(4)
        self._ends = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        bell = Doorbell()
        while not self._ends.is_set():
            if bell.wait(0.05):
                self._crew.ring()
                self._crew.settle_down(1)
        connections.close_all()

    @property
    def is_stopping(self) -> bool:
        return self._crew._stopping.is_set()

    def stop(self) -> None:
        """As on SIGTERM: steps in flight may finish, what is left is given back."""
        self._ends.set()
        self._listener.join(PATIENCE)
        self._crew.stop(grace=PATIENCE)


@contextmanager
def at_work() -> Iterator[Worker]:
    worker = Worker()
    try:
        yield worker
    finally:
        worker.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(PATIENCE * 100):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("the story has got stuck")


def ended(run_id: str) -> Run:
    """The run, once it has ended."""
    runs = Run.objects.filter(run_id=run_id).ended()
    wait_until(runs.exists)
    return runs.newest_first()[0]
