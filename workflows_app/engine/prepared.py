"""The statements of every delivery. PostgreSQL plans each once for a connection: to plan them takes
it several times as long as to execute them.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from workflows_app.engine.database import (
    columns,
    connection,
    fetch_sql,
    is_sqlite,
    read_row,
    write_sqlite,
)

M = TypeVar("M", bound=Model)

BY_INDEX = """
    SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
"""
"""The plan is kept, so it must be the right one for a million rows although it is made while there
is one.
"""
_UNSYNCED = "SET LOCAL synchronous_commit = off;"

_known: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()
"""The names of the statements that a connection of psycopg has seen, and whether it has planned
them: what comes a second time, as many connections serve one request and are closed.
"""


def fetch_prepared(
    sql: str, params: Sequence[Any], *, synced: bool = True
) -> list[tuple[Any, ...]]:
    """As `fetch_sql` does, but on PostgreSQL by a plan that is made once. When it is not `synced`,
    nobody waits for its commit to be on disk: a power cut may undo it, but nothing that was
    committed as usual later. (SQLite has `write_sqlite` for that.)

    A statement must leave no choice of how to find its rows, as all ways are equally short in a
    small table. So it joins large tables by lateral subqueries with LIMIT, compares with scalar
    subqueries, and writes what shall choose no index as an expression: `coalesce(token, '')`,
    `ORDER BY id + 0`.

    In a transaction it is planned anew, as its settings would stay for what follows there. So it is
    for poolers that share connections out, for which Django has DISABLE_SERVER_SIDE_CURSORS.
    """
    wrapper = connection()
    if wrapper.vendor != "postgresql":
        return fetch_sql(sql, params)
    _check_health(wrapper)
    wrapper.ensure_connection()
    before = "" if synced else _UNSYNCED
    if _prepare(wrapper, sql):
        given = f"({', '.join(['%s'] * len(params))})" if params else ""
        sql = f"{BY_INDEX}{before} EXECUTE {_name(sql)}{given}"
    else:
        sql = before + sql
    with _cursor(wrapper) as cursor:
        # In one message, so it is a transaction without a BEGIN and a COMMIT of its own.
        cursor.execute(sql, params)
        while cursor.nextset():
            pass
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _prepare(wrapper: BaseDatabaseWrapper, sql: str) -> bool:
    """From the second time on, where that may be done; whether it is prepared."""
    is_shared = wrapper.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
    if is_shared or not wrapper.get_autocommit():
        return False
    known, name = _known.setdefault(wrapper.connection, {}), _name(sql)
    if known.get(name) is False:
        with wrapper.wrap_database_errors:
            wrapper.connection.execute(f"PREPARE {name} AS {_numbered(sql)}")
    known[name] = name in known
    return known[name]


def _cursor(wrapper: BaseDatabaseWrapper) -> Any:
    """One that binds parameters itself, as Django's usually are; what it executes is shown to who
    asks for that.
    """
    database: Any = wrapper
    return database._prepare_cursor(database.Database.ClientCursor(wrapper.connection))


@cache
def _name(sql: str) -> str:
    """The same for the same statement only, should several processes share a connection."""
    return f"workflows_{sha256(sql.encode()).hexdigest()[:16]}"


def _numbered(sql: str) -> str:
    numbers = count(1)
    first, *rest = sql.split("%s")
    return first + "".join(f"${next(numbers)}{part}" for part in rest)


def fetch_row(model: type[M], condition: str, params: Sequence[Any]) -> M | None:
    """The one row that raw SQL tells, if there is one. For the few reads of every delivery: the ORM
    takes several times as long to build such a query as the database to answer it.
    """
    sql = f"SELECT {columns(model)} FROM {model._meta.db_table} {condition}"  # noqa: S608 - of constants
    rows = fetch_prepared(sql, params)
    return read_row(model, rows[0]) if rows else None


def insert(row: Model) -> None:
    """As `row.save(force_insert=True)` does, in a fraction of the time; for numbered rows without
    signals.
    """
    wrapper = connection()
    fields = [field for field in row._meta.concrete_fields if not field.primary_key]
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), connection=wrapper)
        for field in fields
    ]
    ((row.pk,),) = fetch_prepared(_insertion(type(row)), values)
    row._state.adding, row._state.db = False, wrapper.alias


@cache
def _insertion(model: type[Model]) -> str:
    names = [str(field.column) for field in model._meta.concrete_fields if not field.primary_key]
    places = ", ".join(["%s"] * len(names))
    return f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({places}) RETURNING id"  # noqa: S608 - of constants


def delete_unsynced(table: str, condition: str, params: Sequence[Any]) -> int:
    """For what is only done again when a power cut brings it back. How many rows."""
    sql = f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - of constants
    if is_sqlite():
        sql = sql.replace("%s", "?")
        return write_sqlite(lambda raw: raw.execute(sql, params).rowcount, synchronous="NORMAL")
    return len(fetch_prepared(f"{sql} RETURNING id", params, synced=False))


def _check_health(wrapper: BaseDatabaseWrapper) -> None:
    """As Django does at the first use in a request where `CONN_HEALTH_CHECKS` asks for it, but
    without a query while the server has sent nothing: a server that has ended the session said so.
    """
    if wrapper.connection is not None and not _has_news(wrapper.connection):
        wrapper.health_check_done = True  # type: ignore[attr-defined]  # its stubs lack it
    wrapper.close_if_health_check_failed()


def _has_news(raw: Any) -> bool:
    if raw.closed:
        return True
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    return bool(poll.poll(0))
