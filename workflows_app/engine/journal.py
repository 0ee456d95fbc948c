"""Recording steps: once each, and only under a live lease."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflows_app.conf import get_settings
from workflows_app.engine.database import (
    aware,
    connection,
    fetch_sql,
    is_sqlite,
    joining,
    moment,
    read_moment,
    run_sql,
    settling,
    write_sqlite,
)
from workflows_app.engine.group_commit import GroupCommit
from workflows_app.engine.leases import RENEWAL, Lease, renew
from workflows_app.engine.processes import in_forked_children
from workflows_app.engine.withdrawing import withdraw
from workflows_app.errors import LeaseLost, StepMisuse
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.runs import FailedAttempt, Failures, History, StepKind, StepRecord

MAX_ROWS = 500
"""Writes that one insert takes together."""


_STEPS = """
    SELECT key, name, kind, branch, input, result, error, attempts, started_at, ended_at, sensitive
    FROM workflows_app_step WHERE run_id = %s ORDER BY id
"""
_FAILURES = """
    SELECT key, retry_at FROM workflows_app_attempt
    WHERE run_id = %s AND outcome = 'failed' ORDER BY id
"""


def load_history(run: Run, observed: str = "") -> History:
    """What the run has recorded, oldest first; with what its last turn left for middlewares."""
    failures: dict[str, Failures] = {}
    for key, retry_at in fetch_sql(_FAILURES, [run.pk]):
        before = failures.get(key)
        count = before.count + 1 if before else 1
        failures[key] = Failures(count=count, retry_at=read_moment(retry_at))
    return History(steps=_load_steps(run.pk), failures=failures, observed=observed)


def _load_steps(run_id: int) -> tuple[StepRecord, ...]:
    return tuple(_read_step(*row) for row in fetch_sql(_STEPS, [run_id]))


def _read_step(  # noqa: PLR0913 - the columns of a step
    key: str,
    name: str,
    kind: str,
    branch: str,
    given: str | None,
    result: str | None,
    error: str | None,
    attempts: int,
    started_at: datetime,
    ended_at: datetime,
    sensitive: int,
) -> StepRecord:
    return StepRecord(
        key=key,
        name=name,
        kind=StepKind(kind),
        branch=branch,
        input=given,
        result=result,
        error=error,
        attempts=attempts,
        started_at=aware(started_at),
        ended_at=aware(ended_at),
        sensitive=bool(sensitive),
    )


def as_row(run_id: int, record: StepRecord) -> Step:
    return Step(
        run_id=run_id,
        key=record.key,
        branch=record.branch,
        name=record.name,
        kind=record.kind,
        input=record.input,
        result=record.result,
        error=record.error,
        attempts=record.attempts,
        started_at=record.started_at,
        ended_at=record.ended_at,
        sensitive=record.sensitive,
    )


# -- the writes of a turn that need no more than one statement each


@dataclass(slots=True, eq=False)
class NewSteps:
    """Steps to be inserted under their lease; afterwards `inserted` counts those that were new."""

    lease: Lease
    steps: Sequence[StepRecord]
    inserted: int = 0


@dataclass(slots=True, eq=False)
class RunEnd:
    """A run to be ended under its lease; afterwards `settled` tells whether the lease was held."""

    lease: Lease
    status: Run.Status
    result: str | None
    ended_at: datetime
    settled: bool = False


_INSERT_POSTGRESQL = """
    WITH lease AS MATERIALIZED (
        SELECT id, token, run_id FROM workflows_app_message WHERE {held} ORDER BY id FOR SHARE
    ), entry (
        message_id, token, step_key, branch, name, kind, input, result, error, attempts,
        started_at, ended_at, sensitive
    ) AS (VALUES {rows}), inserted AS (
        INSERT INTO workflows_app_step
            (run_id, key, branch, name, kind, input, result, error, attempts, started_at, ended_at,
            sensitive)
        SELECT run_id, step_key, branch, name, kind, input, result, error, attempts,
            started_at, ended_at, sensitive
        FROM entry JOIN lease ON id = message_id AND lease.token = entry.token
        ON CONFLICT DO NOTHING RETURNING run_id
    )
    SELECT id, token FROM inserted JOIN lease ON lease.run_id = inserted.run_id
"""
"""The lease is locked against being taken over before the commit. One row for each step that is
new: whose it was, as a stale lease of the same message may be among the writes.
"""

_REPORTS = """
    INSERT INTO workflows_app_message
        (account_id, run_id, kind, due_at, claims, lapses, wakes, key, request, created_at)
    SELECT parent.account_id, parent.id, 'report', {now}, 0, 0, 0, key, '', {now}
    FROM workflows_app_invocation
    JOIN workflows_app_run parent ON parent.id = parent_id AND parent.status = 'running'
    WHERE child_id {ended} ON CONFLICT DO NOTHING
"""
"""Have the runs that invoked one that ends told of it."""

_END_POSTGRESQL = """
    WITH settled AS (
        DELETE FROM workflows_app_message WHERE id = %s AND token = %s AND wakes = %s
        RETURNING id, run_id
    ), dropped AS (
        DELETE FROM workflows_app_message USING settled
        WHERE workflows_app_message.run_id = settled.run_id
        AND workflows_app_message.id <> settled.id
    ), reported AS ({reports}){forgotten}
    UPDATE workflows_app_run SET status = %s, live_id = NULL, ended_at = %s, result = %s
    FROM settled WHERE workflows_app_run.id = settled.run_id AND status = 'running'
"""
_FORGOTTEN = """, no_waiters AS (
        DELETE FROM workflows_app_waiter USING settled
        WHERE workflows_app_waiter.run_id = settled.run_id
    ), no_events AS (
        DELETE FROM workflows_app_event USING settled
        WHERE workflows_app_event.run_id = settled.run_id
    )"""
_REPORTED = _REPORTS.format(now="%s::timestamptz", ended="IN (SELECT run_id FROM settled)")
_END_AT_ONCE = _END_POSTGRESQL.format(reports=_REPORTED, forgotten="")
_END_AND_FORGET = _END_POSTGRESQL.format(reports=_REPORTED, forgotten=_FORGOTTEN)
"""A run that has never suspended, and that nothing has come for, waits for nothing."""

_REPORTS_SQLITE = _REPORTS.format(now="?", ended="= ?")

_INSERT_SQLITE = """
    INSERT INTO workflows_app_step
        (run_id, key, branch, name, kind, input, result, error, attempts, started_at, ended_at,
        sensitive)
    SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM workflows_app_message WHERE id = ? AND token = ?
    ON CONFLICT DO NOTHING
"""
_END_SQLITE = """
    UPDATE workflows_app_run SET status = ?, live_id = NULL, ended_at = ?, result = ?
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
    )


def _insert_postgresql(writes: list[NewSteps]) -> None:
    for start in range(0, len(writes), MAX_ROWS):
        _insert_some_postgresql(writes[start : start + MAX_ROWS])


def _insert_some_postgresql(writes: list[NewSteps]) -> None:
    held, rows, params = [], [], []
    for write in writes:
        held.append("(id = %s AND token = %s)")
        params += [write.lease.message_id, write.lease.token]
    for write in writes:
        for step in write.steps:
            rows.append("(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)")
            params += [write.lease.message_id, write.lease.token, *_parameters(step)]
    sql = _INSERT_POSTGRESQL.format(held=" OR ".join(held), rows=", ".join(rows))
    inserted = Counter(fetch_sql(sql, params))
    for write in writes:
        write.inserted = inserted[write.lease.message_id, write.lease.token]


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
    write.inserted = sum(
        raw.execute(
            _INSERT_SQLITE, (lease.run_id, *_parameters(step), lease.message_id, lease.token)
        ).rowcount
        for step in write.steps
    )


def _end_sqlite(raw: sqlite3.Connection, write: RunEnd) -> None:
    lease = write.lease
    held = (lease.message_id, lease.token)
    deleted = raw.execute("DELETE FROM workflows_app_message WHERE id = ? AND token = ?", held)
    write.settled = bool(deleted.rowcount)
    if write.settled:
        for table in ("message", "waiter", "event"):
            raw.execute(f"DELETE FROM workflows_app_{table} WHERE run_id = ?", (lease.run_id,))  # noqa: S608 - of constants
        ended_at = moment(write.ended_at)
        raw.execute(_END_SQLITE, (write.status.value, ended_at, write.result, lease.run_id))
        raw.execute(_REPORTS_SQLITE, (ended_at, ended_at, lease.run_id))


def _end_postgresql(write: RunEnd, wakes: int) -> bool:
    """Nothing that has come for the run since the statement began would be seen by it, so it ends
    no run that was woken in between.
    """
    lease, at = write.lease, moment(write.ended_at)
    sql = _END_AND_FORGET if lease.claims > 1 or wakes else _END_AT_ONCE
    params = [lease.message_id, lease.token, wakes, at, at, write.status.value, at, write.result]
    return bool(run_sql(sql, params))


def _end_woken_postgresql(write: RunEnd) -> bool:
    with joining():
        held = Message.objects.held(write.lease.message_id, write.lease.token).select_for_update()
        wakes = held.values_list("wakes", flat=True).first()
        return wakes is not None and _end_postgresql(write, wakes)


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
    write = NewSteps(lease, steps)
    if is_sqlite():
        _write_sqlite([write]) if connection().in_atomic_block else _sqlite.write(write)
    elif connection().in_atomic_block:
        _insert_postgresql([write])
    else:
        _postgresql.write(write)
    return write.inserted


def end_run(lease: Lease, status: Run.Status, result: str | None, ended_at: datetime) -> None:
    """End the run and all that it is owed. Raises LeaseLost."""
    write = RunEnd(lease, status, result, ended_at)
    if is_sqlite():
        _write_sqlite([write]) if connection().in_atomic_block else _sqlite.write(write)
    else:
        write.settled = _end_postgresql(write, lease.wakes) or _end_woken_postgresql(write)
    if not write.settled:
        raise LeaseLost


def owe_reports(run_pk: int, now: datetime) -> int:
    """Have the runs that invoked this one told that it has ended; how many there are."""
    at = moment(now)
    return run_sql(_REPORTS.format(now="%s", ended="= %s"), [at, at, run_pk])


# -- the recorder of a turn


class Stopping(Exception):
    """This process is to end: what was recorded stays, the rest of the turn is another worker's."""


class Journal:
    """Records the steps of one turn, under its lease."""

    def __init__(self, lease: Lease, stopping: threading.Event | None = None) -> None:
        self._lease = lease
        self._stopping = stopping
        self._transactions = _open_transactions()

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        """See `sdk.replay.Recorder.record`."""
        self._refuse_transaction()
        stood = self._record(steps, attempts)
        if self._stopping is not None and self._stopping.is_set():
            raise Stopping
        return stood

    def _record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        races = [step for step in steps if step.kind is StepKind.RACE]
        if attempts or races:
            return self._record_together(steps, attempts, races)
        all_new = insert_steps(self._lease, steps) == len(steps)
        return {} if all_new else self._what_stands(steps)

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        """See `sdk.replay.Recorder.atomic`."""
        self._refuse_transaction()
        began = time.monotonic()
        with settling():
            hold(self._lease)
            record = execute()
            if insert_steps(self._lease, [record]) != 1:
                raise LeaseLost
            # While it is locked, the keeper passes it over.
            if time.monotonic() - began > RENEWAL * get_settings().LEASE.total_seconds():
                renew([self._lease])
        return record

    def _record_together(
        self, steps: list[StepRecord], attempts: list[FailedAttempt], races: list[StepRecord]
    ) -> dict[str, StepRecord]:
        with settling():
            hold(self._lease)
            add_attempts(self._lease.run_id, attempts)
            all_new = insert_steps(self._lease, steps) == len(steps) if steps else True
            for race in races:
                # What a loser is at work on may be among the steps, or be recorded already.
                withdrawn = withdraw(self._lease.run_id, race)
                for start in range(0, len(withdrawn), MAX_ROWS):
                    insert_steps(self._lease, withdrawn[start : start + MAX_ROWS])
        return {} if all_new else self._what_stands(steps)

    def _refuse_transaction(self) -> None:
        if _open_transactions() != self._transactions:
            raise StepMisuse(
                f"a step of run {self._lease.run.run_id} was called inside transaction.atomic(), "
                "whose rollback would undo what the journal has recorded; open transactions inside "
                "steps, or use context.atomic"
            )

    def _what_stands(self, steps: list[StepRecord]) -> dict[str, StepRecord]:
        """Raises LeaseLost, unless what was not inserted is there because it had been recorded
        before.
        """
        keys = {step.key for step in steps}
        recorded = _load_steps(self._lease.run_id)
        stood = {step.key: step for step in recorded if step.key in keys}
        if len(stood) < len(keys) or not is_held(self._lease):
            raise LeaseLost
        return stood


def _open_transactions() -> int:
    own = connection()
    return len(own.savepoint_ids) + own.in_atomic_block


def hold(lease: Lease) -> None:
    """Lock the lease until the transaction ends. Raises LeaseLost when another worker has it."""
    held = Message.objects.held(lease.message_id, lease.token).select_for_update()
    if not held.exists():
        raise LeaseLost


def is_held(lease: Lease) -> bool:
    return Message.objects.held(lease.message_id, lease.token).exists()


def add_attempts(run_id: int, attempts: Sequence[FailedAttempt]) -> None:
    Attempt.objects.bulk_create(
        Attempt(
            run_id=run_id,
            key=attempt.key,
            number=attempt.number,
            error=attempt.error,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            retry_at=attempt.retry_at,
        )
        for attempt in attempts
    )
