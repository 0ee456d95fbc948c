"""The connections that the engine writes on, and how its writes commit."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from workflows_app.conf import get_settings
from workflows_app.engine.processes import in_forked_children

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.0001, 0.001
"""Seconds between the tries to get SQLite's lock for writing."""

T = TypeVar("T")
M = TypeVar("M", bound=Model)


def connection() -> BaseDatabaseWrapper:
    """This thread's connection to the database of the workflow tables."""
    return connections[get_settings().DATABASE]


def is_postgresql() -> bool:
    return connection().vendor == "postgresql"


def is_sqlite() -> bool:
    return connection().vendor == "sqlite"


def moment(value: datetime | None) -> Any:
    """A datetime as a parameter of raw SQL."""
    return connection().ops.adapt_datetimefield_value(value)


def read_moment(value: datetime | None) -> datetime | None:
    return None if value is None else aware(value)


def aware(value: datetime) -> datetime:
    """A datetime as raw SQL returns it; SQLite's have no zone and are in UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def read_row(model: type[M], values: Sequence[Any]) -> M:
    """A model instance from a row of raw SQL that holds all its columns, in the model's order."""
    wrapper = connection()
    read = list(values)
    for index, converter, expression in _converters(model, wrapper.vendor):
        read[index] = converter(read[index], expression, wrapper)
    names = [field.attname for field in model._meta.concrete_fields]
    return model.from_db(wrapper.alias, names, read)


@cache
def columns(model: type[Model]) -> str:
    """All of them, as a SELECT names them and `read_row` takes them."""
    table = model._meta.db_table
    return ", ".join(f"{table}.{field.column}" for field in model._meta.concrete_fields)


@cache
def _converters(model: type[Model], _vendor: str) -> list[tuple[int, Any, Any]]:
    wrapper = connection()
    columns = [field.cached_col for field in model._meta.concrete_fields]
    return [
        (index, converter, column)
        for index, column in enumerate(columns)
        for converter in (
            *wrapper.ops.get_db_converters(column),
            *column.get_db_converters(wrapper),
        )
    ]


def run_sql(sql: str, params: Sequence[Any]) -> int:
    """Execute one statement that commits by itself; the number of rows it changed."""
    with connection().cursor() as cursor:
        cursor.execute(sql, params)
        changed: int = cursor.rowcount
        return changed


def fetch_sql(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection().cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def for_update() -> str:
    """Ends a SELECT that locks its rows, but for new ones that refer to them; SQLite has one writer
    at a time anyway.
    """
    return "FOR NO KEY UPDATE" if is_postgresql() else ""


def drop_broken_connections() -> None:
    """Have this thread connect anew to each database that has failed under its connection."""
    for wrapper in connections.all(initialized_only=True):
        if wrapper.errors_occurred:
            wrapper.close_if_unusable_or_obsolete()


@contextmanager
def settling() -> Iterator[None]:
    """A transaction that is on disk when the block ends; refuses to be part of a larger one."""
    with _turn_to_write(), transaction.atomic(using=get_settings().DATABASE, durable=True):
        yield


@contextmanager
def joining() -> Iterator[None]:
    """A transaction of its own, or part of the caller's: commits or vanishes with it."""
    with _turn_to_write(), transaction.atomic(using=get_settings().DATABASE):
        yield


# -- SQLite


class SqliteWriter:
    """The one connection that the threads of this process write their small transactions on.

    SQLite has one writer at a time. Taking turns here costs less than its busy handler, which
    sleeps for milliseconds; and one connection keeps its page cache, which the commits of others
    would make stale.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._connection: BaseDatabaseWrapper | None = None

    def write(self, work: Callable[[sqlite3.Connection], T], synchronous: str | None) -> T:
        """Run `work` in a transaction; when this returns it is committed."""
        with self.lock:
            wrapper = self._open()
            try:
                with wrapper.wrap_database_errors, _synchronous(wrapper.connection, synchronous):
                    return self._commit(wrapper.connection, work)
            except DatabaseError:
                self.close()
                raise

    @staticmethod
    def _commit(raw: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        _begin(raw)
        try:
            result = work(raw)
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> BaseDatabaseWrapper:
        if self._connection is None:
            self._connection = connections.create_connection(get_settings().DATABASE)
            self._connection.inc_thread_sharing()
        self._connection.ensure_connection()
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _begin(raw: sqlite3.Connection) -> None:
    """Begin to write, as soon as other processes let this one: SQLite itself would sleep for whole
    milliseconds, in which they let go of the lock many times. Raises sqlite3.OperationalError when
    the connection's timeout is over.
    """
    ((timeout,),) = raw.execute("PRAGMA busy_timeout").fetchall()
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        deadline = time.monotonic() + timeout / 1000
        pause = _SHORTEST_PAUSE
        while not _has_begun(raw, deadline):
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    finally:
        raw.execute(f"PRAGMA busy_timeout = {timeout}")


def _has_begun(raw: sqlite3.Connection, deadline: float) -> bool:
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
            raise
        return False
    return True


@contextmanager
def _synchronous(raw: sqlite3.Connection, mode: str | None) -> Iterator[None]:
    """Commit in this mode meanwhile, unless it is None."""
    if mode is None:
        yield
        return
    ((usual,),) = raw.execute("PRAGMA synchronous").fetchall()
    raw.execute(f"PRAGMA synchronous = {mode}")
    try:
        yield
    finally:
        raw.execute(f"PRAGMA synchronous = {usual}")


_writer = SqliteWriter()


def write_sqlite(work: Callable[[sqlite3.Connection], T], synchronous: str | None = None) -> T:
    """Run `work` in a transaction, which is committed when this returns; in another than the usual
    synchronous mode if one is given.

    Inside a transaction that is open already, and in a database that lives in memory, it is done
    on this thread's own connection, and commits with whatever that one commits with.
    """
    own = connection()
    if own.in_atomic_block or own.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's own
        with joining(), own.wrap_database_errors:
            return work(own.connection)
    return _writer.write(work, synchronous)


@contextmanager
def _turn_to_write() -> Iterator[None]:
    if is_sqlite() and not connection().in_atomic_block:
        with _writer.lock:
            yield
    else:
        yield


def _start_afresh() -> None:
    """A connection must not be shared with a forked child."""
    global _writer
    _writer = SqliteWriter()


in_forked_children(_start_afresh)
