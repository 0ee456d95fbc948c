"""What a run is doing, in a word: from its row and from what it is owed at the moment.

Nothing stores these words: whether a run works or waits is said by its messages alone, as nobody
writes when time makes one due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL

from workflows_app.engine import clock
from workflows_app.models import Account, FlowControl, Message, Run


class State(StrEnum):
    QUEUED = "queued"
    """Something of it is due, and no worker has taken it."""
    RUNNING = "running"
    """A worker or an endpoint is at work on it."""
    WAITING = "waiting"
    """For its start, a moment, an event, or another run."""
    PAUSING = "pausing"
    """Paused, but for a step in flight, which goes on to its end."""
    PAUSED = "paused"
    ROLLING_BACK = "rolling back"
    """Its steps are being undone, or will be; unless that is paused."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


ENDED = {State(status): status for status in Run.Status if status != Run.Status.RUNNING}
"""The states that runs do not leave, as their rows say them."""

_WORK = (Message.Kind.TURN, Message.Kind.DELIVERY, Message.Kind.CALL)
"""What is done for a run; other messages tell it something."""

_SAID_AT_THE_END = ("status", "live_id", "ended_at", "result", "error", "undoing_at", "expires_at")

FEW = 1_000
"""Rows that a search looks at before it takes what it seeks for common."""


def state_of(run: Run) -> State:
    return states_of([run])[run.pk]


def states_of(runs: Iterable[Run]) -> dict[int, State]:
    """By primary key; in two queries more at most, however many they are. A run that has ended
    since it was read is told of its end.
    """
    rows, now = list(runs), clock.now()
    live = {run.pk for run in rows if run.is_live}
    owed = Message.objects.filter(run__in=live, kind__in=_WORK) if live else Message.objects.none()
    owed_nothing, at_work, due = set(live), set(), set()
    for run_pk, token, due_at in owed.values_list("run_id", "token", "due_at"):
        owed_nothing.discard(run_pk)
        if due_at is not None and due_at <= now:
            due.add(run_pk)
        elif token is not None:
            at_work.add(run_pk)
    ended = Run.objects.filter(pk__in=owed_nothing).ended() if owed_nothing else Run.objects.none()
    ends = {end.pk: end for end in ended.only(*_SAID_AT_THE_END)}
    for run in rows:
        if run.pk in ends:
            for name in _SAID_AT_THE_END:
                setattr(run, name, getattr(ends[run.pk], name))
    return {run.pk: _state(run, at_work, due) for run in rows}


def _state(run: Run, at_work: Collection[int], due: Collection[int]) -> State:
    if not run.is_live:
        return State(run.status)
    if run.paused_at is not None:
        return State.PAUSING if run.pk in at_work else State.PAUSED
    if run.undoing_at is not None:
        return State.ROLLING_BACK
    if run.pk in at_work:
        return State.RUNNING
    return State.QUEUED if run.pk in due else State.WAITING


def in_state(runs: QuerySet[Run], state: State) -> QuerySet[Run]:
    """Those of `runs` that are in this state now. Made for a page in the order of primary keys,
    whose cost then does not grow with what is stored: what is rare is looked up by the few messages
    that tell of it, what is common is met soon.
    """
    if state in ENDED:
        return runs.filter(status=ENDED[state])
    now = clock.now()
    live = runs.filter(status=Run.Status.RUNNING)
    match state:
        case State.PAUSING:
            return live.filter(paused_at__isnull=False, pk__in=_at_work(now))
        case State.PAUSED:
            paused = live.filter(_rare(Q(paused_at__isnull=False)))
            return paused.exclude(pk__in=_at_work(now))
        case State.ROLLING_BACK:
            return live.filter(_rare(Q(undoing_at__isnull=False)), paused_at=None)
    going_on = live.filter(paused_at=None, undoing_at=None)
    match state:
        case State.RUNNING:
            return going_on.filter(pk__in=_at_work(now))
        case State.QUEUED:
            return _queued(going_on.exclude(pk__in=_at_work(now)), now)
        case _:
            return _waiting(going_on.exclude(pk__in=_at_work(now)), now)


def _at_work(now: datetime) -> set[int]:
    leased = Message.objects.leased(now).filter(kind__in=_WORK)
    return set(leased.values_list("run_id", flat=True))


def _rare(condition: Q) -> Q:
    """One that a partial index of live runs is made for, with what it says while that is little: as
    SQLite uses such an index only for a literal, and when nothing else is asked for.
    """
    literal = RawSQL("'running'", ())
    found = Run.objects.filter(condition, status=literal).values_list("pk", flat=True)[: FEW + 1]
    return condition if len(found) > FEW else condition & Q(pk__in=list(found))


def _queued(idle: QuerySet[Run], now: datetime) -> QuerySet[Run]:
    due = Q(due_at__lte=now)
    found = _few(due & Q(flow_control=None), due & Q(flow_control__in=FlowControl.objects.all()))
    if found is None:
        return idle.alias(due=_first_due(now)).filter(due__isnull=False)
    return idle.filter(pk__in=found)


def _waiting(idle: QuerySet[Run], now: datetime) -> QuerySet[Run]:
    waiting = idle.alias(due=_first_due(now)).filter(due=None)
    if idle.filter(workflow="").exists():
        # Of these, one that waits may be owed nothing.
        return waiting
    unkeyed = Q(flow_control=None)
    found = _few(unkeyed & Q(due_at__gt=now), unkeyed & Q(due_at=None), ~unkeyed)
    return waiting if found is None else waiting.filter(pk__in=found)


def _first_due(now: datetime) -> Subquery:
    """This looks the messages of each run up, in the order of the runs: it cannot become a join."""
    due = Message.objects.due(now).filter(run=OuterRef("pk"), kind__in=_WORK)
    return Subquery(due.values("pk")[:1])


def _few(*conditions: Q) -> set[int] | None:
    """The runs of the messages that fulfil one of these; None if there are more messages."""
    found = set()
    for condition in conditions:
        # In the order of an index, which is left once there are enough.
        ordered = Message.objects.filter(condition).by_due_time()
        rows = list(ordered.values_list("run_id", "kind")[: FEW + 1])
        if len(rows) > FEW:
            return None
        found |= {run_pk for run_pk, kind in rows if kind in _WORK}
    return found


def count_by_state(account: Account, workflows: Collection[str]) -> dict[str, dict[State, int]]:
    """How many runs of each workflow are in each state, without those in whose place another one of
    the same id has gone on; states that none is in are left out.
    """
    runs = Run.objects.of(account).filter(workflow__in=workflows)
    counts: dict[str, Counter[State]] = {name: Counter() for name in workflows}
    numbers = runs.order_by().values_list("workflow", "status").annotate(number=Count("pk"))
    for name, status, number in numbers:
        live = status == Run.Status.RUNNING
        counts[name][State.WAITING if live else State(status)] += number
    for name, status, number in _numbers_replaced(account, workflows):
        counts[name][State(status)] -= number
    for state in (State.PAUSING, State.PAUSED, State.ROLLING_BACK, State.RUNNING):
        _move(counts, in_state(runs, state), state)
    _move(counts, _all_queued(runs), State.QUEUED)
    return {name: dict(+counted) for name, counted in counts.items()}


def _numbers_replaced(
    account: Account, workflows: Collection[str]
) -> Iterable[tuple[str, str, int]]:
    """Of workflow and status: all of them have ended."""
    # Said though the join implies it, so that few are read where few have gone on from others.
    new = Run.objects.of(account).filter(
        origin__isnull=False,
        origin__account=account,
        origin__workflow__in=workflows,
        origin__run_id=F("run_id"),
    )
    numbers = new.order_by().values_list("origin__workflow", "origin__status")
    return numbers.annotate(number=Count("origin", distinct=True))


def _move(counts: dict[str, Counter[State]], runs: QuerySet[Run], state: State) -> None:
    """Count these in this state: until now, they were taken to wait."""
    numbers = runs.order_by().values_list("workflow").annotate(number=Count("pk"))
    for name, number in numbers:
        counts[name][state] += number
        counts[name][State.WAITING] -= number


def _all_queued(runs: QuerySet[Run]) -> QuerySet[Run]:
    now = clock.now()
    due = Message.objects.due(now).filter(kind__in=_WORK).values("run")
    going_on = runs.filter(status=Run.Status.RUNNING, paused_at=None, undoing_at=None)
    return going_on.filter(pk__in=due).exclude(pk__in=_at_work(now))
