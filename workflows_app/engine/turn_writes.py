"""The writes of a turn that need no more than a statement each: new steps, the end of its run.
Those of several turns of a process are committed together.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflows_app.engine import undoing
from workflows_app.engine.database import (
    connection,
    is_sqlite,
    joining,
    moment,
    run_sql,
    write_sqlite,
)
from workflows_app.engine.group_commit import GroupCommit
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.engine.processes import in_forked_children
from workflows_app.errors import LeaseLost, RollbackAsked
from workflows_app.models import Run
from workflows_app.protocol.runs import StepRecord

MAX_ROWS = 500
"""Writes that one insert takes together."""


@dataclass(slots=True, eq=False)
class NewSteps:
    """Steps to be inserted under their lease; afterwards `inserted` counts those that were new, and
    if any were, `wakes` says how often the lease's message had been woken by then.
    """

    lease: Lease
    steps: Sequence[StepRecord]
    inserted: int = 0
    wakes: int | None = None


@dataclass(slots=True, eq=False)
class RunEnd:
    """A run to be ended under its lease; afterwards `settled` tells whether the lease was held."""

    lease: Lease
    status: Run.Status
    result: str | None
    ended_at: datetime
    wakes: int
    settled: bool = False

    @property
    def expires_at(self) -> str | datetime | None:
        """As a parameter; of a run that has not failed."""
        retention = self.lease.run.success_retention
        return None if retention is None else moment(self.ended_at + retention)


_INSERT_POSTGRESQL = """
    WITH entry AS MATERIALIZED (
        SELECT * FROM unnest(
            %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::integer[], %s::timestamptz[], %s::timestamptz[],
            %s::boolean[], %s::text[]
        ) WITH ORDINALITY AS entry (
            message_id, token, step_key, branch, name, kind, input, result, error, attempts,
            started_at, ended_at, sensitive, config, number
        )
    ), lease AS MATERIALIZED (
        SELECT held.* FROM (
            SELECT DISTINCT message_id, token FROM entry ORDER BY message_id, token
        ) wanted CROSS JOIN LATERAL (
            SELECT id, token, run_id, wakes FROM workflows_app_message
            WHERE id = wanted.message_id AND coalesce(token, '') = wanted.token LIMIT 1 FOR SHARE
        ) held
    ), inserted AS (
        INSERT INTO workflows_app_step
            (run_id, key, branch, name, kind, input, result, error, attempts, started_at, ended_at,
            sensitive, config)
        SELECT run_id, step_key, branch, name, kind, input, result, error, attempts,
            started_at, ended_at, sensitive, config
        FROM entry JOIN lease ON id = message_id AND lease.token = entry.token ORDER BY number
        ON CONFLICT DO NOTHING RETURNING run_id
    )
    SELECT id, token, wakes FROM inserted JOIN lease ON lease.run_id = inserted.run_id
"""
"""The lease is locked against being taken over before the commit. One row for each step that is
new: whose it was, as a stale lease of the same message may be among the writes.
"""

_REPORTS = """
    INSERT INTO workflows_app_message
        (account_id, run_id, kind, due_at, claims, lapses, wakes, key, request, created_at)
    SELECT parent.account_id, parent.id, 'report', {now}, 0, 0, 0, key, '', {now}
    FROM workflows_app_invocation
    JOIN workflows_app_run parent ON parent.id = parent_id + 0 AND status || '' = 'running'
    WHERE child_id {ended} ON CONFLICT DO NOTHING
"""
"""Have the runs that invoked one that ends told of it."""

_END_POSTGRESQL = """
    WITH settled AS (
        DELETE FROM workflows_app_message WHERE id = %s AND coalesce(token, '') = %s AND wakes = %s
        RETURNING id, run_id
    ), dropped AS (
        DELETE FROM workflows_app_message WHERE run_id = (SELECT run_id FROM settled)
        AND id <> (SELECT id FROM settled)
    ), reported AS ({reports}){forgotten}
    UPDATE workflows_app_run
    SET status = %s, live_id = NULL, ended_at = %s, result = %s, expires_at = %s
    WHERE id = (SELECT run_id FROM settled) AND status || '' = 'running'
    RETURNING id
"""
_FORGOTTEN = """, no_waiters AS (
        DELETE FROM workflows_app_waiter WHERE run_id = (SELECT run_id FROM settled)
    ), no_events AS (
        DELETE FROM workflows_app_event WHERE run_id = (SELECT run_id FROM settled)
    )"""
_REPORTED = _REPORTS.format(now="%s::timestamptz", ended="= (SELECT run_id FROM settled)")
_END_AT_ONCE = _END_POSTGRESQL.format(reports=_REPORTED, forgotten="")
_END_AND_FORGET = _END_POSTGRESQL.format(reports=_REPORTED, forgotten=_FORGOTTEN)
"""A run that has never suspended, and that nothing has come for, waits for nothing."""

_REPORTS_SQLITE = _REPORTS.format(now="?", ended="= ?")

_INSERT_SQLITE = """
    INSERT INTO workflows_app_step
        (run_id, key, branch, name, kind, input, result, error, attempts, started_at, ended_at,
        sensitive, config)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_HELD_SQLITE = "SELECT wakes FROM workflows_app_message WHERE id = ? AND token = ?"
_DELETE_HELD_SQLITE = "DELETE FROM workflows_app_message WHERE id = ? AND token = ? AND wakes = ?"
_END_SQLITE = """
    UPDATE workflows_app_run
    SET status = ?, live_id = NULL, ended_at = ?, result = ?, expires_at = ?
    WHERE id = ? AND status = 'running'
"""


def _parameters(step: StepRecord) -> tuple[Any, ...]:
    return (
        step.key,
        step.branch,
        step.name,
        step.kind.value,
        step.input,
        step.result,
        step.error,
        step.attempts,
        moment(step.started_at),
        moment(step.ended_at),
        step.sensitive,
        step.config,
    )


def _insert_postgresql(writes: list[NewSteps]) -> None:
    for start in range(0, len(writes), MAX_ROWS):
        _insert_some_postgresql(writes[start : start + MAX_ROWS])


def _insert_some_postgresql(writes: list[NewSteps]) -> None:
    rows = [
        (write.lease.message_id, write.lease.token, *_parameters(step))
        for write in writes
        for step in write.steps
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    inserted = Counter(fetch_prepared(_INSERT_POSTGRESQL, columns) if rows else ())
    wakes = {(message_id, token): count for message_id, token, count in inserted}
    for write in writes:
        lease = (write.lease.message_id, write.lease.token)
        write.wakes = wakes.get(lease)
        write.inserted = inserted[*lease, write.wakes]


def _write_sqlite(writes: list[NewSteps | RunEnd]) -> None:
    def work(raw: sqlite3.Connection) -> None:
        for write in writes:
            if isinstance(write, NewSteps):
                _insert_sqlite(raw, write)
            else:
                _end_sqlite(raw, write)

    write_sqlite(work)


def _insert_sqlite(raw: sqlite3.Connection, write: NewSteps) -> None:
    lease = write.lease
    held = raw.execute(_HELD_SQLITE, (lease.message_id, lease.token)).fetchone()
    if held is not None:
        (write.wakes,) = held
        write.inserted = sum(
            raw.execute(_INSERT_SQLITE, (lease.run_id, *_parameters(step))).rowcount
            for step in write.steps
        )


def _end_sqlite(raw: sqlite3.Connection, write: RunEnd) -> None:
    lease = write.lease
    held = (lease.message_id, lease.token, write.wakes)
    write.settled = bool(raw.execute(_DELETE_HELD_SQLITE, held).rowcount)
    if write.settled:
        for table in ("message", "waiter", "event"):
            raw.execute(f"DELETE FROM workflows_app_{table} WHERE run_id = ?", (lease.run_id,))  # noqa: S608 - of constants
        ended_at = moment(write.ended_at)
        said = (write.status.value, ended_at, write.result, write.expires_at)
        raw.execute(_END_SQLITE, (*said, lease.run_id))
        raw.execute(_REPORTS_SQLITE, (ended_at, ended_at, lease.run_id))


def _end_postgresql(write: RunEnd) -> None:
    lease, at = write.lease, moment(write.ended_at)
    sql = _END_AND_FORGET if lease.claims > 1 or write.wakes else _END_AT_ONCE
    held = (lease.message_id, lease.token, write.wakes)
    said = (write.status.value, at, write.result, write.expires_at)
    write.settled = bool(fetch_prepared(sql, [*held, at, at, *said]))


_postgresql: GroupCommit[NewSteps] = GroupCommit(_insert_postgresql)
_sqlite: GroupCommit[NewSteps | RunEnd] = GroupCommit(_write_sqlite)


def _start_afresh() -> None:
    """A forked child must not wait for a thread of its parent."""
    global _postgresql, _sqlite
    _postgresql, _sqlite = GroupCommit(_insert_postgresql), GroupCommit(_write_sqlite)


in_forked_children(_start_afresh)


def insert_steps(lease: Lease, steps: Sequence[StepRecord]) -> int:
    """Insert what is new, if the lease is held; how many that were.

    Commits before it returns, except in a transaction of the caller's.
    """
    return insert(NewSteps(lease, steps)).inserted


def insert(write: NewSteps) -> NewSteps:
    if is_sqlite():
        _write_sqlite([write]) if connection().in_atomic_block else _sqlite.write(write)
    elif connection().in_atomic_block:
        _insert_postgresql([write])
    else:
        _postgresql.write(write)
    return write


def end_run(lease: Lease, status: Run.Status, result: str | None, ended_at: datetime) -> None:
    """End the run and all that it is owed. Raises LeaseLost; RollbackAsked when it is to be rolled
    back instead.
    """
    write = RunEnd(lease, status, result, ended_at, lease.wakes)
    _end(write)
    if not write.settled:
        _end_woken(write)
    if not write.settled:
        raise LeaseLost


def _end(write: RunEnd) -> None:
    """Nothing that has come for the run since the statement began would be seen by it, so it ends
    no run that was woken in between.
    """
    if not is_sqlite():
        _end_postgresql(write)
    elif connection().in_atomic_block:
        _write_sqlite([write])
    else:
        _sqlite.write(write)


def _end_woken(write: RunEnd) -> None:
    with joining():
        write.wakes = hold(write.lease)
        if undoing.was_asked_for(write.lease):
            raise RollbackAsked
        _end(write)


def owe_reports(run_pk: int, now: datetime) -> int:
    """Have the runs that invoked this one told that it has ended; how many there are."""
    at = moment(now)
    return run_sql(_REPORTS.format(now="%s", ended="= %s"), [at, at, run_pk])
