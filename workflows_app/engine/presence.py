"""Which worker processes there are, as each says of itself. Only people look at it: that a worker
cannot say so keeps it from nothing, and what it holds is decided by leases alone.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from datetime import datetime, timedelta

from django.db import Error, connections
from django.db.models import QuerySet

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.keeping import keeper
from workflows_app.engine.processes import in_forked_children
from workflows_app.models import Worker
from workflows_app.protocol.codec import encode_json

logger = logging.getLogger("workflows_app")

PAUSE = 15.0
"""Seconds between signs of life."""
ALIVE = timedelta(seconds=45)
"""How long after its last one a worker counts as alive."""
FORGOTTEN = timedelta(days=1)
"""How long after its last one the row of a worker that was killed is kept."""
LAST_WORDS = 2.0
"""Seconds that an end waits for a sign of life under way."""


def alive(now: datetime) -> QuerySet[Worker]:
    return Worker.objects.filter(seen_at__gt=now - ALIVE).order_by("name")


class Presence:
    """Of one process."""

    def __init__(self, threads: int) -> None:
        self.name = f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(3)}"
        self._threads = threads
        self._started_at = clock.now()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._tell_for_ever, name="presence", daemon=True).start()

    def tell(self) -> None:
        """That it is there, and what it is at work on."""
        now = clock.now()
        held = [lease.message_id for lease in keeper().held()]
        said = {"threads": self._threads, "at_work": encode_json(held), "seen_at": now}
        with joining():
            if Worker.objects.filter(name=self.name).update(**said):
                return
            Worker.objects.filter(seen_at__lt=now - FORGOTTEN).delete()
            Worker.objects.create(name=self.name, started_at=self._started_at, **said)

    def end(self) -> None:
        """Never raises: where the row cannot be deleted, the worker is soon not seen any more."""
        self._ended.set()
        if not self._lock.acquire(timeout=LAST_WORDS):
            return
        try:
            Worker.objects.filter(name=self.name).delete()
        except Error as error:
            logger.info("the worker %s ends without a word: %s", self.name, error)
        finally:
            self._lock.release()

    def _tell_for_ever(self) -> None:
        while not self._ended.is_set():
            try:
                with self._lock:
                    if not self._ended.is_set():
                        self.tell()
            except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
                logger.info("the worker %s could not say that it is alive: %s", self.name, error)
            finally:
                # Not worth a connection of its own in between.
                connections.close_all()
            self._ended.wait(PAUSE)


_presence: Presence | None = None


def begin(threads: int) -> None:
    """Say from now on that this process works, with so many threads."""
    global _presence
    if _presence is None:
        _presence = Presence(threads)
        _presence.start()


def end() -> None:
    """In order: nobody is to take this process for one that was killed."""
    global _presence
    if _presence is not None:
        _presence.end()
        _presence = None


def _start_afresh() -> None:
    """A forked child is another process, and has none of the threads of its parent."""
    global _presence
    _presence = None


in_forked_children(_start_afresh)
