"""Threads of one process that have something to write at the same time share one commit.

The first to come writes at once; those that come meanwhile are written together by the next of
them, each waiting until it is done. A lone writer waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError

W = TypeVar("W")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[W]):
    """A thread's write, on its way into a shared commit."""

    write: W
    turn: threading.Lock = field(default_factory=threading.Lock)
    done: bool = False
    error: Exception | None = None


class GroupCommit(Generic[W]):
    """`store` makes a list of writes durable, all or none, and leaves in each what came of it."""

    def __init__(self, store: Callable[[list[W]], None]) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[W]] = []
        self._writing = False

    def write(self, write: W) -> W:
        """Returns when the write is durable. Raises what went wrong with this one."""
        mine = _Waiting(write)
        mine.turn.acquire()
        with self._lock:
            self._waiting.append(mine)
            wait = self._writing
            self._writing = True
        if wait:
            self._await_turn(mine)
        if not mine.done:
            self._write_all()
        if mine.error is not None:
            raise mine.error
        return write

    def _await_turn(self, mine: _Waiting[W]) -> None:
        """A signal's handler may raise in the main thread meanwhile."""
        try:
            mine.turn.acquire()
        except BaseException:
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    if mine.turn.acquire(blocking=False):
                        self._pass_turn_on()
            raise

    def _pass_turn_on(self) -> None:
        if self._waiting:
            self._waiting[0].turn.release()
        else:
            self._writing = False

    def _write_all(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            self._store_or_blame(batch)
        finally:
            with self._lock:
                self._pass_turn_on()
            for one in batch:
                one.done = True
                one.turn.release()

    def _store_or_blame(self, batch: list[_Waiting[W]]) -> None:
        try:
            self._store([one.write for one in batch])
        except Exception as error:  # noqa: BLE001 - raised in each waiting thread
            if len(batch) > 1 and _may_be_one_writes_fault(error):
                for one in batch:
                    self._store_or_blame([one])
            else:
                for one in batch:
                    one.error = error
        except BaseException:
            for one in batch:
                one.error = OperationalError("the thread that wrote for this one was interrupted")
            raise


def _may_be_one_writes_fault(error: Exception) -> bool:
    """One bad write must not fail its neighbours; a database that is away fails them all."""
    away = isinstance(error, OperationalError | InterfaceError)
    return isinstance(error, DatabaseError) and not away
