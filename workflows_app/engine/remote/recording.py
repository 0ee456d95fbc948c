"""Recording what an endpoint published, where nothing stands in the way: the step and its delivery
by one statement, in one commit with what other threads of this process publish.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflows_app.engine.database import (
    connection,
    is_postgresql,
    moment,
    write_sqlite,
)
from workflows_app.engine.group_commit import GroupCommit
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.engine.processes import in_forked_children
from workflows_app.protocol.ids import step_message_id
from workflows_app.protocol.publishing import Accepted


@dataclass(slots=True, eq=False, kw_only=True)
class NewElement:
    """An element for the step list of a live remote run. Afterwards `accepted` is None unless it is
    there now: then someone holds the run's lock, it waits for an event, or it does not live.
    """

    account_id: int
    run_id: str
    key: str
    name: str
    kind: str
    raw: bytes
    options: str
    """Of its delivery, as JSON."""
    started_at: datetime
    due_at: datetime
    accepted: Accepted | None = None

    def accept(self, step_pk: int, *, deduplicated: bool) -> None:
        self.accepted = Accepted(message_id=step_message_id(step_pk), deduplicated=deduplicated)


def record(element: NewElement) -> Accepted | None:
    """Commits before it returns, except in a transaction of the caller's."""
    if connection().in_atomic_block:
        _store([element])
    else:
        _group.write(element)
    return element.accepted


def _store(elements: list[NewElement]) -> None:
    if is_postgresql():
        _store_postgresql(elements)
    else:
        write_sqlite(lambda raw: _store_sqlite(raw, elements))
    if any(each.accepted and not each.accepted.deduplicated for each in elements):
        get_dispatcher().ring()


# A run that is locked is passed over: after waiting for its lock, this statement would still see
# all other rows as they were before. What is owed is inserted with the step or not at all.
_RECORD = """
    WITH entry AS MATERIALIZED (
        SELECT * FROM unnest(
            %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[],
            %s::timestamptz[], %s::timestamptz[]
        ) WITH ORDINALITY AS entry (
            account_id, live_id, key, name, kind, raw, request, started_at, due_at, number
        )
    ), live AS MATERIALIZED (
        SELECT entry.*, run.id AS run_id, flow_control_id
        FROM entry CROSS JOIN LATERAL (
            SELECT id, flow_control_id FROM workflows_app_run
            WHERE live_id = entry.live_id AND account_id + 0 = entry.account_id AND workflow = ''
            LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
        ) run
        WHERE (
            SELECT id FROM workflows_app_waiter WHERE run_id = run.id AND key = entry.key LIMIT 1
        ) IS NULL
    ), added AS (
        INSERT INTO workflows_app_step
            (run_id, key, branch, name, kind, attempts, raw, started_at, ended_at)
        SELECT run_id, key, '', name, kind, 1, raw, started_at, due_at FROM live ORDER BY number
        ON CONFLICT DO NOTHING RETURNING id, run_id, key
    ), owed AS (
        INSERT INTO workflows_app_message
            (account_id, run_id, kind, key, request, due_at, flow_control_id, claims, lapses, wakes,
             created_at)
        SELECT account_id, run_id, 'delivery', key, request, due_at, flow_control_id, 0, 0, 0,
            started_at
        FROM added JOIN live USING (run_id, key)
    )
    SELECT number, added.id, (
        SELECT id FROM workflows_app_step WHERE run_id = live.run_id AND key = live.key LIMIT 1
    )
    FROM live LEFT JOIN added USING (run_id, key)
"""


def _store_postgresql(elements: list[NewElement]) -> None:
    first = list(_first_of_each(elements))
    columns = zip(*(_values(each) for each in first), strict=True)
    for number, added, known in fetch_prepared(_RECORD, [list(column) for column in columns]):
        pk = added or known
        if pk is not None:
            first[number - 1].accept(pk, deduplicated=added is None)


def _first_of_each(elements: Iterable[NewElement]) -> Iterable[NewElement]:
    """The same element twice in one statement would be owed twice."""
    return {(each.account_id, each.run_id, each.key): each for each in elements}.values()


def _values(element: NewElement) -> tuple[Any, ...]:
    return (
        element.account_id,
        element.run_id,
        element.key,
        element.name,
        element.kind,
        element.raw,
        element.options,
        element.started_at,
        element.due_at,
    )


# -- SQLite

_LIVE_SQLITE = """
    SELECT run.id, flow_control_id, step.id FROM workflows_app_run run
    LEFT JOIN workflows_app_step step ON step.run_id = run.id AND step.key = :key
    WHERE live_id = :live_id AND run.account_id = :account_id AND workflow = '' AND NOT EXISTS (
        SELECT 1 FROM workflows_app_waiter waiter
        WHERE waiter.run_id = run.id AND waiter.key = :key
    )
"""
_STEP_SQLITE = """
    INSERT INTO workflows_app_step
        (run_id, key, branch, name, kind, attempts, raw, started_at, ended_at)
    VALUES (:run, :key, '', :name, :kind, 1, :raw, :started_at, :due_at) RETURNING id
"""
_MESSAGE_SQLITE = """
    INSERT INTO workflows_app_message
        (account_id, run_id, kind, key, request, due_at, flow_control_id, claims, lapses, wakes,
         created_at)
    VALUES (:account_id, :run, 'delivery', :key, :request, :due_at, :flow_control, 0, 0, 0,
        :started_at)
"""


def _store_sqlite(raw: sqlite3.Connection, elements: list[NewElement]) -> None:
    for element in elements:
        values: dict[str, Any] = {
            "account_id": element.account_id,
            "live_id": element.run_id,
            "key": element.key,
            "name": element.name,
            "kind": element.kind,
            "raw": element.raw,
            "request": element.options,
            "started_at": moment(element.started_at),
            "due_at": moment(element.due_at),
        }
        found = raw.execute(_LIVE_SQLITE, values).fetchone()
        if found is None:
            continue
        values["run"], values["flow_control"], known = found
        if known is not None:
            element.accept(known, deduplicated=True)
            continue
        ((pk,),) = raw.execute(_STEP_SQLITE, values).fetchall()
        raw.execute(_MESSAGE_SQLITE, values)
        element.accept(pk, deduplicated=False)


_group: GroupCommit[NewElement] = GroupCommit(_store)


def _start_afresh() -> None:
    """A forked child must not wait for a thread of its parent."""
    global _group
    _group = GroupCommit(_store)


in_forked_children(_start_afresh)
