"""When instances began, and when something of them changed last. Nothing stores this: what is known
of their steps tells it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max, Min, Q, QuerySet

from workflows_app.engine import clock
from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    began_at: datetime | None
    """None while no worker has taken it, or if it ended without."""
    changed_at: datetime


_Moments = dict[int, list[datetime]]


def times_of(runs: Collection[Run]) -> dict[int, Times]:
    """By primary key; in a fixed number of queries, however many they are."""
    pks = [run.pk for run in runs]
    moments = _moments(pks, clock.now())
    turns = Message.objects.filter(run__in=pks, kind=Message.Kind.TURN, claims__gt=0)
    taken = set(turns.values_list("run_id", flat=True))
    return {
        run.pk: Times(
            began_at=_began_at(run, moments[run.pk], run.pk in taken),
            changed_at=_changed_at(run, moments[run.pk]),
        )
        for run in runs
    }


def _moments(pks: list[int], now: datetime) -> _Moments:
    """The first begin, the last begin and the last end of what each of its steps left behind."""
    found: _Moments = {pk: [] for pk in pks}
    sources: tuple[tuple[QuerySet[Any], str, str], ...] = (
        (Step.objects.filter(run__in=pks), "started_at", "ended_at"),
        (Attempt.objects.filter(run__in=pks), "started_at", "ended_at"),
        (Waiter.objects.filter(run__in=pks), "created_at", "created_at"),
        (Invocation.objects.filter(parent__in=pks), "created_at", "created_at"),
    )
    for rows, begin, end in sources:
        owner = "parent_id" if rows.model is Invocation else "run_id"
        over = Max(end, filter=Q(**{f"{end}__lte": now}))
        spans = rows.order_by().values_list(owner)
        for pk, *known in spans.annotate(first=Min(begin), last=Max(begin), over=over):
            found[pk] += filter(None, known)
    return found


def _began_at(run: Run, moments: list[datetime], is_taken: bool) -> datetime | None:  # noqa: FBT001 - a fact of the run
    """Steps that it has taken over from another run began before it was there."""
    if moments:
        return max(run.created_at, min(moments))
    has_worked = is_taken or run.status in (Run.Status.SUCCEEDED, Run.Status.FAILED)
    return run.created_at if has_worked else None


def _changed_at(run: Run, moments: list[datetime]) -> datetime:
    if run.ended_at is not None:
        return run.ended_at
    known = (run.created_at, run.paused_at, run.undoing_at, *moments)
    return max(moment for moment in known if moment is not None)
