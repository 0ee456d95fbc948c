"""Following runs: what has happened to one of them, or to many, since one last looked.

It is read from the rows that there are anyway, in a fixed number of queries, and nothing is written
for those who follow: runs, the journal, failed attempts, waiters, and what is owed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import RawSQL

from workflows_app.engine import changes, clock
from workflows_app.engine.changes import Change, Kind
from workflows_app.engine.cursors import LATE, Cursor, Track
from workflows_app.engine.database import is_sqlite
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.engine.scopes import Scope
from workflows_app.errors import InvalidInput
from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.published import read_step
from workflows_app.protocol.runs import UNDO

MOST = 500
"""Rows of each kind that one look tells of."""
FARTHEST = 100_000
"""Rows that who follows many runs may have missed: then there are better ways to read them."""
WATCHED = 2_000
"""Runs whose start, and sleeps whose end, who follows many waits for; the newest."""
_SILENT = (
    *(Step.Kind.PATCHED, Step.Kind.RACE),
    *(Step.Kind.PLAN, Step.Kind.CALL_SENT, Step.Kind.CALL_ANSWERED),
)
"""Entries of the journal that are no steps to those who read the workflow."""


@dataclass(kw_only=True)
class _Found:
    """What one look has read."""

    accepted: list[Run] = field(default_factory=list)
    steps: list[Any] = field(default_factory=list)
    awake: list[Any] = field(default_factory=list)
    """Sleeps that have ended."""
    attempts: list[Attempt] = field(default_factory=list)
    waiters: list[Waiter] = field(default_factory=list)
    ended: list[Any] = field(default_factory=list)
    paused: dict[int, Run] = field(default_factory=dict)
    at_work: set[int] = field(default_factory=set)
    ends_until: datetime | None = None
    """The moment up to which ends were read, if there are more."""
    is_all: bool = True
    """Whether all but the ends was read: only then has a run been told that has ended."""

    @property
    def rows(self) -> Iterator[Any]:
        for rows in (self.steps, self.awake, self.attempts, self.waiters):
            yield from rows


class Follower:
    """Tells each thing once, and those of a run in their order."""

    def __init__(self, scope: Scope, last_event_id: str = "") -> None:
        """A single run is followed from its beginning, many from now on; or where a cursor says,
        whose text came with an event before. Raises InvalidInput for a text that is no cursor.
        """
        self._scope = scope
        self.cursor = Cursor.decode(last_event_id) if last_event_id else self._begin()
        # On SQLite, who is numbered first is visible first.
        self._late = timedelta() if is_sqlite() else LATE
        self.is_all = True
        """Whether the last look has told all that there was."""
        if last_event_id and scope.run is None:
            self._refuse_distance()

    def _begin(self) -> Cursor:
        cursor = Cursor(since=clock.now())
        if self._scope.run is None:
            for track, model in self._tracks(cursor):
                track.floor = _newest(model)
            cursor.ended = set(self._ended(cursor).values_list("pk", flat=True)[:MOST])
            cursor.paused = {run.pk for run in self._paused()}
        return cursor

    def _refuse_distance(self) -> None:
        for track, model in self._tracks(self.cursor):
            if track.floor + FARTHEST < _newest(model):
                raise InvalidInput(
                    "too much has happened since Last-Event-ID; read the logs, and follow from now "
                    "on without it"
                )

    def _tracks(self, cursor: Cursor) -> tuple[tuple[Track, type[Model]], ...]:
        return (
            (cursor.run, Run),
            (cursor.step, Step),
            (cursor.attempt, Attempt),
            (cursor.waiter, Waiter),
        )

    @property
    def is_over(self) -> bool:
        """Whether a single run has ended, and all has been told; or is no longer there."""
        return self.cursor.is_over

    def look(self) -> list[Change]:
        if self.is_over:
            return []
        found = self._read(clock.now())
        self.is_all = found.is_all and found.ends_until is None
        told = sorted(self._tell(found, clock.now()), key=lambda change: change.order)
        self.cursor.unstarted = _newest_of(self.cursor.unstarted)
        self.cursor.asleep = _newest_of(self.cursor.asleep)
        return told

    # -- reading

    def _read(self, now: datetime) -> _Found:
        found, cursor = _Found(), self.cursor
        # First: what a run has recorded until then is there afterwards.
        found.ended = self._fresh_ends(found)
        found.paused = {run.pk: run for run in self._paused()}
        found.accepted = self._fresh(found, cursor.run, self._scope.runs(), now)
        found.steps = self._fresh(found, cursor.step, self._of_runs(_steps()), now)
        attempts = Attempt.objects.exclude(key=FAILURE_KEY)
        found.attempts = self._fresh(found, cursor.attempt, self._of_runs(attempts), now)
        found.waiters = self._fresh(found, cursor.waiter, self._of_runs(Waiter.objects.all()), now)
        found.awake = self._awake(now)
        queued = cursor.unstarted | {run.pk for run in found.accepted}
        claimed = Message.objects.filter(run__in=queued, claims__gt=0) if queued else ()
        found.at_work = {message.run_id or 0 for message in claimed}
        return found

    def _of_runs(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        run = {f"run__{name}" for name in changes.RUN_FIELDS}
        return self._scope.within(rows).select_related("run").defer(*_unread(run))

    def _fresh(self, found: _Found, track: Track, rows: QuerySet[Any], now: datetime) -> list[Any]:
        newest = track.floor if self._scope.run is not None else _newest(rows.model)
        known = rows.filter(pk__gt=track.floor).order_by("pk")
        if rows.model is Run:
            known = known.only(*changes.RUN_FIELDS)
        read = list(known[: MOST + len(track.told)])
        fresh = [row for row in read if row.pk not in track.told]
        if len(read) == MOST + len(track.told):
            found.is_all, newest = False, 0
        newest = max([newest, *(row.pk for row in read)])
        track.told |= {row.pk for row in fresh}
        track.settle(now, newest, self._late)
        return fresh

    def _fresh_ends(self, found: _Found) -> list[Any]:
        known = self.cursor.ended
        limit = MOST + len(known)
        read = list(self._ended(self.cursor)[:limit])
        if len(read) == limit:
            found.ends_until = read[-1].ended_at
        return [run for run in read if run.pk not in known]

    def _ended(self, cursor: Cursor) -> QuerySet[Any]:
        runs = self._scope.runs().ended()
        if self._scope.run is None:
            late = cursor.since - LATE
            # Each of the two has an index of its own.
            runs = runs.filter(
                Q(expires_at=None, ended_at__gte=late)
                | Q(expires_at__isnull=False, ended_at__gte=late)
            )
        told: QuerySet[Any] = runs.annotate(head=changes.head(), size=changes.size())
        return told.only(*changes.RUN_FIELDS).order_by("ended_at", "pk")

    def _paused(self) -> list[Run]:
        # SQLite uses the index of paused runs only for a literal.
        status = RawSQL("'running'", ())
        runs = self._scope.runs().filter(status=status, paused_at__isnull=False)
        return list(runs.only(*changes.RUN_FIELDS).order_by("pk")[:MOST])

    def _awake(self, now: datetime) -> list[Any]:
        if not self.cursor.asleep:
            return []
        over = _steps().filter(pk__in=self.cursor.asleep, ended_at__lte=now)
        steps: list[Any] = list(self._of_runs(over))
        return [step for step in steps if step.has_ended(step.run, now) or not step.run.is_live]

    # -- telling

    def _tell(self, found: _Found, now: datetime) -> Iterator[Change]:
        cursor = self.cursor
        for run in found.accepted:
            cursor.unstarted.add(run.pk)
            yield Change(kind=Kind.RUN_ACCEPTED, at=run.created_at, run=run, number=run.pk)
        yield from self._tell_of_starts(found, now)
        yield from self._tell_of_steps(found, now)
        for attempt in found.attempts:
            yield changes.attempt_failed(attempt, attempt.run)
        for waiter in found.waiters:
            yield changes.step_waiting(waiter, waiter.run)
        if found.is_all:
            yield from self._tell_of_pauses(found, now)
            yield from self._tell_of_ends(found, now)

    def _tell_of_steps(self, found: _Found, now: datetime) -> Iterator[Change]:
        children = _children(found)
        for step in _with_results(found.steps):
            if step.kind == Step.Kind.SLEEP:
                yield changes.step_begun(step, step.run)
                if not step.has_ended(step.run, now):
                    self.cursor.asleep.add(step.pk)
                    continue
            if step.kind not in _SILENT and not _is_silent(step):
                yield changes.step_ended(step, step.run, children.get((step.run_id, step.key)))
        for step in found.awake:
            self.cursor.asleep.discard(step.pk)
            if step.has_ended(step.run, now):
                yield changes.step_ended(step, step.run, None)

    def _tell_of_starts(self, found: _Found, now: datetime) -> Iterator[Change]:
        """A run that has done anything has started."""
        cursor = self.cursor
        runs = {run.pk: run for run in (*found.accepted, *(row.run for row in found.rows))}
        began: dict[int, datetime] = {}
        for row in found.rows:
            at = row.created_at if isinstance(row, Waiter) else row.started_at
            began[row.run_id] = min(at, began.get(row.run_id, at))
        for run in found.ended:
            if run.status != Run.Status.CANCELED and found.is_all:
                runs[run.pk] = run
                began.setdefault(run.pk, run.ended_at)
        started = cursor.unstarted & (found.at_work | set(began))
        # A cursor may have been made up by who sends it.
        others = self._scope.runs().only(*changes.RUN_FIELDS).filter(pk__in=started - set(runs))
        runs |= {run.pk: run for run in others} if started - set(runs) else {}
        cursor.unstarted -= started
        for pk in started & set(runs):
            at = began.get(pk, now)
            yield Change(kind=Kind.RUN_STARTED, at=at, run=runs[pk], number=pk)

    def _tell_of_pauses(self, found: _Found, now: datetime) -> Iterator[Change]:
        before, self.cursor.paused = self.cursor.paused, set(found.paused)
        for pk, run in found.paused.items():
            if pk not in before and run.paused_at is not None:
                yield Change(kind=Kind.RUN_PAUSED, at=run.paused_at, run=run, number=pk)
        gone = before - set(found.paused)
        if not gone or len(found.paused) == MOST:
            return
        for run in self._scope.runs().live().filter(pk__in=gone).only(*changes.RUN_FIELDS):
            yield Change(kind=Kind.RUN_RESUMED, at=now, run=run, number=run.pk)

    def _tell_of_ends(self, found: _Found, now: datetime) -> Iterator[Change]:
        cursor = self.cursor
        for run in found.ended:
            cursor.unstarted.discard(run.pk)
            yield changes.run_ended(run)
        if self._scope.run is not None:
            cursor.is_over = bool(found.ended) or not self._scope.runs().exists()
            return
        if found.ends_until is not None:
            now = min(now, found.ends_until + LATE)
        cursor.since = now
        still = self._ended(cursor).filter(pk__in=cursor.ended)
        cursor.ended = {*still.values_list("pk", flat=True), *(run.pk for run in found.ended)}


def _newest(model: type[Model]) -> int:
    newest: int | None = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    return newest or 0


def _newest_of(numbers: set[int]) -> set[int]:
    return numbers if len(numbers) <= WATCHED else set(sorted(numbers)[-WATCHED:])


def _steps() -> QuerySet[Any]:
    steps = Step.objects.defer("input", "raw", "result", "config")
    return steps.annotate(head=changes.head(), size=changes.size())


def _unread(read: set[str]) -> list[str]:
    """The columns of a run that are not told, and may be large."""
    names = {f"run__{column.name}" for column in Run._meta.concrete_fields} - {"run__id"}
    return sorted(names - read)


def _is_silent(step: Step) -> bool:
    """What says that a run is rolled back, and what a remote run has given up."""
    return step.key == UNDO or (step.run.is_remote and not step.key.isdecimal())


def _children(found: _Found) -> dict[tuple[int, str], Run]:
    """The runs that steps have waited for, which may want to be hidden themselves."""
    invoking = [step for step in found.steps if step.kind == Step.Kind.INVOKE]
    if not invoking:
        return {}
    invocations = Invocation.objects.filter(
        parent__in={step.run_id for step in invoking}, key__in={step.key for step in invoking}
    )
    known = invocations.select_related("child").only("parent", "key", "child__redaction")
    return {(each.parent_id, each.key): each.child for each in known}


def _with_results(steps: Iterable[Any]) -> Iterable[Any]:
    """The results of remote runs' steps stand in what their SDK has published."""
    remote = {step.pk: step for step in steps if step.run.is_remote and step.head is None}
    if not remote:
        return steps
    raws = Step.objects.filter(pk__in=remote).annotate(size=changes.size_of_raw())
    few = raws.filter(size__lte=changes.MOST_SHOWN)
    for pk, raw in few.values_list("pk", "raw"):
        said = read_step(bytes(raw or b""))
        remote[pk].head = None if said is None else said.out
    return steps
