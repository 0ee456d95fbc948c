"""What is owed at the moment and what may be in the way of it, at a bounded cost: nothing is
counted beyond `MOST`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.models import Account, FlowControl, Message, Run

MOST = 10_000
"""How far rows are counted."""
MOST_STUCK = 1_000
"""How many stuck runs are found."""
LAPSES = 2
"""After so many leases in a row that have run out, a run counts as stuck."""
WORK = (Message.Kind.TURN, Message.Kind.DELIVERY, Message.Kind.CALL)


def ready_lag() -> timedelta:
    """How long free work may be due until it is taken."""
    return get_settings().READY_LAG


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is due and not claimed; of both numbers, `MOST` means that or more."""

    free: int
    """What any worker may take."""
    limited: int
    """What may have to wait for its flow control."""
    oldest: timedelta
    """How long the oldest of what is free has been due."""

    @property
    def due(self) -> int:
        return self.free + self.limited


def count(rows: QuerySet[Any]) -> int:
    """Up to `MOST`."""
    return rows.order_by()[:MOST].count()


def backlog(messages: QuerySet[Message] | None = None) -> Backlog:
    """Of these messages, or of all."""
    now = clock.now()
    due = (Message.objects.all() if messages is None else messages).filter(due_at__lte=now)
    # As the index has them, which begins with the key: so neither reads what is not due.
    free = due.filter(flow_control=None)
    limited = due.filter(flow_control__in=FlowControl.objects.all())
    first = free.order_by("due_at").values_list("due_at", flat=True).first()
    return Backlog(
        free=count(free),
        limited=count(limited),
        oldest=timedelta() if first is None else now - first,
    )


def stuck(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Those of `runs` whose work nobody takes though nothing limits it, for longer than READY_LAG;
    and those whose leases run out one after the other, as when each worker that takes them ends.
    """
    return runs.filter(pk__in=_stuck(clock.now()))


def count_stuck(runs: QuerySet[Run]) -> int:
    """Up to `MOST_STUCK`."""
    return min(stuck(runs).order_by().count(), MOST_STUCK)


def _stuck(now: datetime) -> set[int]:
    untaken = Message.objects.due(now - ready_lag()).filter(
        flow_control=None, account__parallelism=None
    )
    lapsed = Message.objects.filter(token__isnull=False, lapses__gte=LAPSES)
    found: set[int] = set()
    for messages in (untaken.order_by("due_at"), lapsed.order_by("pk")):
        keys = messages.filter(kind__in=WORK).values_list("run_id", flat=True)[:MOST_STUCK]
        found.update(keys)
    return found


def live(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Those of `runs` that are; as the indexes have them, which begin with the account."""
    return runs.filter(account__in=list(Account.objects.all()), status=Run.Status.RUNNING)


def at_work(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Those of `runs` that somebody works on."""
    leased = Message.objects.leased(clock.now()).filter(kind__in=WORK)
    return runs.filter(pk__in=set(leased.values_list("run_id", flat=True)[:MOST]))
