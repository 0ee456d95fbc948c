"""Keeping a test's transaction usable when a step breaks it.

An error of the database breaks the transaction round it. A worker calls the function of a step
outside of any; in a test there is that of the test case. So what has been written since the last
record is undone when the transaction turns out to be broken, and else kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from workflows_app.protocol.runs import FailedAttempt, StepRecord
from workflows_app.sdk.replay import Recorder


class Savepoints:
    """One on each connection with an open transaction; a new one after each record."""

    def __init__(self) -> None:
        self._open: list[tuple[BaseDatabaseWrapper, str]] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def left(self) -> Iterator[None]:
        self._end()
        try:
            yield
        finally:
            self._begin()

    def _begin(self) -> None:
        for each in connections.all(initialized_only=True):
            if each.in_atomic_block and (name := each.savepoint()) is not None:
                self._open.append((each, name))

    def _end(self) -> None:
        while self._open:
            connection, name = self._open.pop()
            if not _is_usable(connection):
                connection.set_rollback(False)
                connection.savepoint_rollback(name)
            connection.savepoint_commit(name)


class MendingRecorder:
    """Records into a transaction that is usable, whatever has come before."""

    def __init__(self, recorder: Recorder, savepoints: Savepoints) -> None:
        self._recorder = recorder
        self._savepoints = savepoints

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        with self._savepoints.left():
            return self._recorder.record(steps, attempts)

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        with self._savepoints.left():
            return self._recorder.atomic(execute)


def _is_usable(connection: BaseDatabaseWrapper) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True
