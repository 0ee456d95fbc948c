"""Claiming what is due, and keeping, giving back or losing what was claimed."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, DateTimeField, Exists, OuterRef, Q, Value, When

from workflows_app.conf import get_settings
from workflows_app.engine import clock, limits
from workflows_app.engine.database import (
    fetch_sql,
    is_postgresql,
    joining,
    moment,
    read_moment,
    read_row,
    write_sqlite,
)
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.errors import LeaseLost
from workflows_app.models import Account, Message, Run
from workflows_app.protocol.runs import StepInFlight

_serial = itertools.count(1)

RENEWAL = 1 / 3
"""Of a lease, after which it is renewed."""
_LOCK_PAUSES = (0, 0.005, 0.02, 0.05)
"""Seconds before each try; who records a step locks its lease for a moment."""

WITHOUT_EXCHANGE = (
    Message.Kind.TURN,
    Message.Kind.TIMEOUT,
    Message.Kind.REPORT,
    Message.Kind.SCHEDULE,
    Message.Kind.TERMINATION,
    Message.Kind.PRUNING,
)
"""Kinds of messages whose delivery never waits for an HTTP answer in `engine.exchanges`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claimed message. Only who shows its token may settle it."""

    message_id: int
    kind: str
    key: str
    request: str
    token: str
    claims: int
    wakes: int
    owner: Run | None
    """The run as it was when the message was claimed; None for what is owed to no run."""
    lapses: int = 0
    """How many leases of it in a row had run out when this one was taken."""
    publication_id: int | None = None
    schedule_id: int | None = None
    definition_id: int | None = None

    @property
    def run(self) -> Run:
        assert self.owner is not None, f"a message of kind {self.kind} belongs to no run"  # noqa: S101
        return self.owner

    @property
    def run_id(self) -> int:
        return self.run.pk

    @property
    def may_exchange(self) -> bool:
        return self.kind not in WITHOUT_EXCHANGE


def new_token() -> str:
    """No two claims share one, in any process."""
    return f"{secrets.token_hex(8)}.{next(_serial)}"


_RUN_COLUMNS = ", ".join(f"workflows_app_run.{field.column}" for field in Run._meta.concrete_fields)

# All messages of one claim have the same key. ORDER BY names it so that the index gives the order;
# of those that fell due at once, what was owed first comes first.
# A claim that a power cut undoes is made again: nobody waits for the disk.

_CLAIM_POSTGRESQL = """
    WITH claimed AS (
        UPDATE workflows_app_message SET due_at = %s, token = %s, claims = claims + 1,
            at_step = '', at_step_since = NULL,
            lapses = CASE WHEN token IS NULL THEN 0 ELSE lapses + 1 END
        WHERE id = ANY (ARRAY (
            SELECT id FROM workflows_app_message WHERE {key} AND due_at <= %s
            ORDER BY flow_control_id, due_at, id + 0 LIMIT %s FOR UPDATE SKIP LOCKED
        ))
        RETURNING id, run_id, kind, key, request, claims, lapses, publication_id, schedule_id,
            definition_id
    )
    SELECT claimed.id, claimed.kind, claimed.key, claimed.request, claimed.claims, claimed.lapses,
        seen.wakes, claimed.publication_id, claimed.schedule_id, claimed.definition_id,
        {run_columns}
    FROM claimed CROSS JOIN LATERAL (
        SELECT due_at, wakes FROM workflows_app_message WHERE id = claimed.id LIMIT 1
    ) seen LEFT JOIN LATERAL (
        SELECT * FROM workflows_app_run run WHERE run.id = claimed.run_id LIMIT 1
    ) workflows_app_run ON true
    ORDER BY seen.due_at, claimed.id
"""
"""The run is as it was when the statement began, and so are the wakes: what came while the message
was locked is news to the lease.
"""

_CLAIM_SQLITE = """
    UPDATE workflows_app_message SET due_at = ?, token = ?, claims = claims + 1,
        at_step = '', at_step_since = NULL,
        lapses = CASE WHEN token IS NULL THEN 0 ELSE lapses + 1 END
    WHERE id IN (
        SELECT id FROM workflows_app_message WHERE {key} AND due_at <= ?
        ORDER BY flow_control_id, due_at, id + 0 LIMIT ?
    ) RETURNING id
"""

_CLAIMED_SQLITE = """
    SELECT message.id, kind, key, request, claims, lapses, wakes, publication_id, schedule_id,
        definition_id, {run_columns}
    FROM workflows_app_message message
    LEFT JOIN workflows_app_run ON workflows_app_run.id = message.run_id
    WHERE message.id IN ({ids})
"""

_ANYTHING_DUE = "SELECT 1 FROM workflows_app_message WHERE {key} AND due_at <= %s LIMIT 1"

_UNLIMITED = f"flow_control_id IS NULL AND account_id NOT IN ({limits.CAPPED})"

LIMITED_TURN = 8
"""Every so many claims, messages with limits come first."""

_claims = itertools.count(1)


def claim(limit: int, kinds: Collection[str] = ()) -> list[Lease]:
    """Take up to `limit` due messages, oldest first, as the limits of their keys and accounts
    allow; of these kinds alone if any are named.

    Limited ones cost more to look at, so they wait for a claim that finds nothing else, or for
    their turn. The doorbell goes on ringing for what is left.
    """
    now = clock.now()
    among = f" AND kind IN ({', '.join(map(repr, map(str, kinds)))})" if kinds else ""
    if next(_claims) % LIMITED_TURN:
        return _claim_where(_UNLIMITED + among, now, limit) or _claim_limited(now, limit, among)
    limited = _claim_limited(now, limit, among)
    left = limit - len(limited)
    return limited + _claim_where(_UNLIMITED + among, now, left) if left else limited


def _claim_where(key: str, now: datetime, limit: int) -> list[Lease]:
    token = new_token()
    due, until = moment(now), moment(now + get_settings().LEASE)
    if is_postgresql():
        sql = _CLAIM_POSTGRESQL.format(key=key, run_columns=_RUN_COLUMNS)
        rows = fetch_prepared(sql, [until, token, due, limit], synced=False)
    elif fetch_sql(_ANYTHING_DUE.format(key=key), [due]):
        # Looking first costs little; an update that finds nothing would lock out every writer.
        rows = _claim_sqlite(key, due, until, token, limit)
    else:
        return []
    return [_read_lease(row, token) for row in rows]


def _claim_sqlite(key: str, due: str, until: str, token: str, limit: int) -> list[tuple[Any, ...]]:
    def work(raw: sqlite3.Connection) -> list[tuple[Any, ...]]:
        update = raw.execute(_CLAIM_SQLITE.format(key=key), (until, token, due, limit))
        ids = ", ".join(str(pk) for (pk,) in update.fetchall())
        return raw.execute(_CLAIMED_SQLITE.format(run_columns=_RUN_COLUMNS, ids=ids)).fetchall()

    return write_sqlite(work, synchronous="NORMAL")


def _read_lease(row: tuple[Any, ...], token: str) -> Lease:
    message_id, kind, key, request, claims, lapses, wakes, *rest = row
    publication_id, schedule_id, definition_id, *values = rest
    return Lease(
        message_id=message_id,
        kind=kind,
        key=key,
        request=request,
        token=token,
        claims=claims,
        lapses=lapses,
        wakes=wakes,
        owner=None if values[0] is None else read_row(Run, values),
        publication_id=publication_id,
        schedule_id=schedule_id,
        definition_id=definition_id,
    )


def _claim_limited(now: datetime, limit: int, among: str) -> list[Lease]:
    """Each place with room gets an equal share, and what others leave of theirs."""
    leases: list[Lease] = []
    if not limits.any_limits():
        return leases
    found = limits.places(now, limit)
    for index, place in enumerate(found):
        share = -(-(limit - len(leases)) // (len(found) - index))
        if share:
            leases += _claim_at(place, now, share, among)
    return leases


def _claim_at(place: limits.Place, now: datetime, limit: int, among: str) -> list[Lease]:
    with joining():
        free, control = limits.lock_free(place, now, limit)
        if not free:
            return []
        leases = _claim_where(place.condition + among, now, free)
        if leases:
            limits.started(place, control, len(leases), now)
    return leases


_NEXT_DUE = f"""
    SELECT
        (SELECT due_at FROM workflows_app_message
         WHERE flow_control_id IS NULL AND due_at IS NOT NULL
         ORDER BY flow_control_id, due_at LIMIT 1),
        EXISTS (SELECT 1 FROM workflows_app_flowcontrol),
        EXISTS ({limits.CAPPED})
"""  # noqa: S608 - of a constant


def next_due() -> datetime | None:
    """When something can be claimed next, given the limits; None when nothing is owed."""
    ((first, keys, caps),) = fetch_prepared(_NEXT_DUE, [])
    now = clock.now()
    moments = [read_moment(first)]
    if caps and moments[0] is not None and moments[0] <= now:
        moments = list(limits.next_due_without_key(now))
    if keys:
        moments.append(limits.next_due_of_keys(now))
    return min((moment for moment in moments if moment is not None), default=None)


def hold(lease: Lease) -> int:
    """Lock the lease until the transaction ends, and say how often its message has been woken.
    Raises LeaseLost when another worker has it.
    """
    held = Message.objects.held(lease.message_id, lease.token).select_for_update()
    wakes = held.values_list("wakes", flat=True).first()
    if wakes is None:
        raise LeaseLost
    return wakes


def is_held(lease: Lease) -> bool:
    return Message.objects.held(lease.message_id, lease.token).exists()


def renew(leases: Iterable[Lease], in_flight: Mapping[int, StepInFlight] | None = None) -> None:
    """Move the end of every lease that is still held, and write which steps are in flight under
    them, by the messages' primary keys, if that is known.

    One that has run out comes back, unless its slot of a limited key may have been given away.
    """
    now = clock.now()
    capped = Account.objects.filter(pk=OuterRef("account_id"), parallelism__isnull=False)
    may_come_back = Q(due_at__gt=now) | Q(~Exists(capped), flow_control=None)
    places = {} if in_flight is None else _places(in_flight)
    _update_held(leases, may_come_back, due_at=now + get_settings().LEASE, **places)


def _places(in_flight: Mapping[int, StepInFlight]) -> dict[str, Any]:
    if not in_flight:
        return {"at_step": "", "at_step_since": None}
    keys = [When(pk=pk, then=Value(step.key)) for pk, step in in_flight.items()]
    since = [When(pk=pk, then=Value(step.since)) for pk, step in in_flight.items()]
    return {
        "at_step": Case(*keys, default=Value(""), output_field=CharField()),
        "at_step_since": Case(*since, default=None, output_field=DateTimeField()),
    }


def give_back(leases: Iterable[Lease]) -> None:
    """Make the messages due at once for any worker, as if they had not been claimed."""
    _update_held(leases, Q(), token=None, due_at=clock.now())


def _update_held(leases: Iterable[Lease], condition: Q, **values: Any) -> None:
    """Together. What someone has locked for longer is left as it is: nobody can claim it meanwhile,
    and all others would have to wait for it.
    """
    held = list(leases)
    for pause in _LOCK_PAUSES if is_postgresql() else (0,):
        if not held:
            return
        time.sleep(pause)
        ids, tokens = [lease.message_id for lease in held], [lease.token for lease in held]
        found = Message.objects.filter(condition, pk__in=ids, token__in=tokens)
        with joining():
            free = found.select_for_update(skip_locked=is_postgresql())
            updated = set(free.values_list("pk", flat=True))
            Message.objects.filter(pk__in=updated).update(**values)
        held = [lease for lease in held if lease.message_id not in updated]


def oldest_due(now: datetime) -> datetime | None:
    """Since when the longest waiting claimable message has been due; None when nothing waits."""
    first = next_due()
    return first if first is not None and first <= now else None


def take(message: Message) -> Lease:
    """The lease of a message that was stored as leased, by the process that stored it."""
    assert message.token is not None, "only for messages stored with a token"  # noqa: S101
    return Lease(
        message_id=message.pk,
        kind=message.kind,
        key=message.key,
        request=message.request,
        token=message.token,
        claims=message.claims,
        wakes=message.wakes,
        owner=message.run,
    )
