"""The doorbell: tells workers that work may be due. It carries nothing, so it may ring wrongly or
not at all.

PostgreSQL rings by NOTIFY, which takes effect with the commit of what was made due. SQLite needs no
ring: `PRAGMA data_version` changes whenever another connection commits.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from workflows_app.conf import get_settings
from workflows_app.engine import clock, leases
from workflows_app.engine.database import connection, is_postgresql, run_sql

logger = logging.getLogger("workflows_app")

CHANNEL = "workflows_app_due"
PAUSE_BETWEEN_LOOKS = 0.01
"""Seconds; bounds the looks a second when others ring without a break. Workers that have something
to do look for more by themselves.
"""
RING_AGAIN = timedelta(milliseconds=3)
"""Pause before ringing again for work that stays due; it doubles up to `LONGEST_PAUSE`."""
LONGEST_PAUSE = timedelta(milliseconds=50)


class DatabaseDispatcher:
    """Rings through the database itself; see `engine.ports.Dispatcher`."""

    def ring(self) -> None:
        if is_postgresql():
            run_sql(f"NOTIFY {CHANNEL}", [])


class _Ear(Protocol):
    def changed(self, patience: float) -> bool:
        """Wait up to `patience` seconds for a sign that something was committed; whether there was
        one.
        """


class _PostgresqlEar:
    """LISTENs on this thread's connection, which does nothing else."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        wrapper.ensure_connection()
        self._wrapper = wrapper
        self._connection = wrapper.connection
        self._looked_at = 0.0
        with wrapper.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

    def changed(self, patience: float) -> bool:
        # Rings that come close together need one look.
        rest = self._looked_at + PAUSE_BETWEEN_LOOKS - time.monotonic()
        if rest > 0:
            time.sleep(min(rest, patience))
        with self._wrapper.wrap_database_errors:
            heard = list(self._connection.notifies(timeout=patience, stop_after=1))
        self._looked_at = time.monotonic()
        return bool(heard)


class _SqliteEar:
    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        wrapper.ensure_connection()
        self._wrapper = wrapper
        self._connection = wrapper.connection
        self._seen = self._version()

    def _version(self) -> int:
        with self._wrapper.wrap_database_errors:
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return version

    def changed(self, patience: float) -> bool:
        pause = get_settings().POLL.total_seconds()
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            # Sleeping first bounds the looks a second when others commit without a break.
            time.sleep(min(pause, left))
            version = self._version()
            if version != self._seen:
                self._seen = version
                return True
        return False


class _PollingEar:
    """For other databases: looks every few milliseconds."""

    def changed(self, patience: float) -> bool:
        time.sleep(min(patience, 0.05))
        return True


class Doorbell:
    """Used by one thread, which waits at it."""

    def __init__(self) -> None:
        self._ear: _Ear | None = None
        self._rang_at = datetime.min.replace(tzinfo=UTC)
        self._again_at = 0.0
        self._pause = RING_AGAIN

    def wait(self, patience: float) -> bool:
        """Wait until something is due, at most `patience` seconds; whether something is.

        While the same work stays due it answers yes again and again, ever more slowly.
        """
        deadline = time.monotonic() + patience
        try:
            ear = self._ear or self._listen()
            while True:
                left = deadline - time.monotonic()
                pause = self._until_due(left)
                if pause is None:
                    return True
                if left <= 0:
                    return False
                ear.changed(max(0.0, min(pause, left)))
        except Error:
            logger.exception("the doorbell cannot reach the database; trying again")
            self._ear = None
            connections.close_all()
            time.sleep(min(patience, 1.0))
            return False

    def _listen(self) -> _Ear:
        wrapper = connection()
        if wrapper.vendor == "postgresql":
            self._ear = _PostgresqlEar(wrapper)
        elif wrapper.vendor == "sqlite":
            self._ear = _SqliteEar(wrapper)
        else:
            self._ear = _PollingEar()
        return self._ear

    def _until_due(self, left: float) -> float | None:
        """Seconds until the bell is to ring; None means now.

        One ring announces all that is due by then. It may not have reached a worker with a free
        thread, so it is repeated for as long as something of that is left.
        """
        due = leases.next_due()
        fallback = get_settings().FALLBACK_POLL.total_seconds()
        if due is None:
            return fallback
        now = clock.now()
        if due > now:
            return min(fallback, (due - now).total_seconds())
        if due > self._rang_at:
            self._pause = RING_AGAIN
        elif (wait := self._again_at - time.monotonic()) > 0:
            return wait
        else:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._rang_at = now
        self._again_at = time.monotonic() + self._pause.total_seconds()
        return None
