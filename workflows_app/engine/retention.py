"""Forgetting what has ended, in small transactions that lock nothing for long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Exists, OuterRef, QuerySet

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.deleting import forget
from workflows_app.errors import InvalidInput, LimitExceeded
from workflows_app.models import (
    Deduplication,
    Invocation,
    Message,
    Publication,
    PublicationEvent,
    Run,
)
from workflows_app.protocol.durations import format_duration

BATCH = 500
LONGEST = timedelta(days=365_000)
"""What ends now and is kept so long can be stored; databases and Python know no year 10000."""


def check_retention(retention: timedelta | None) -> None:
    """Raises InvalidInput for what cannot be the time for which runs are kept."""
    if retention is None:
        return
    if retention < timedelta():
        raise InvalidInput("a run that has ended cannot be kept for less than no time")
    allowed = get_settings().MAX_RETENTION
    most = LONGEST if allowed is None else min(allowed, LONGEST)
    if retention > most:
        raise LimitExceeded(
            f"runs that have ended are kept for at most {format_duration(most)}, not "
            f"{format_duration(retention)}"
        )


def prune(older_than: timedelta | None) -> int:
    """Delete runs that ended longer ago, unless they have a retention of their own, and all whose
    own is over; with all that belongs to them. How many.
    """
    return sum(_in_batches(partial(_prune_runs, runs)) for runs in _over(older_than))


def prune_some(older_than: timedelta | None) -> int:
    """As `prune` and `prune_messages` do, but no more than `BATCH` of each."""
    Deduplication.objects.filter(ends_at__lte=clock.now()).delete()
    pruned = sum(map(_prune_runs, _over(older_than)))
    if older_than is not None:
        pruned += _prune_publications(_moment_before(older_than))
    return pruned


def prunable(older_than: timedelta | None) -> int:
    return sum(runs.count() for runs in _over(older_than))


def _over(older_than: timedelta | None) -> list[QuerySet[Run]]:
    """Each has an index of its own."""
    now = clock.now()
    owed = Message.objects.filter(run=OuterRef("pk"))
    # Its failure may still be to be told.
    expired = Run.objects.filter(~Exists(owed), expires_at__lte=now)
    if older_than is None:
        return [expired]
    return [
        expired,
        Run.objects.ended_before(_moment_before(older_than)).filter(expires_at=None),
    ]


def _moment_before(older_than: timedelta) -> datetime:
    return clock.now() - min(older_than, LONGEST)


def prune_messages(older_than: timedelta | None) -> int:
    """Delete plain messages that ended longer ago, with their logs, and those of their dead
    letters that nobody has decided on; how many. Keys that stand for no message any more go too.
    """
    Deduplication.objects.filter(ends_at__lte=clock.now()).delete()
    if older_than is None:
        return 0
    return _in_batches(partial(_prune_publications, _moment_before(older_than)))


def prunable_messages(older_than: timedelta | None) -> int:
    if older_than is None:
        return 0
    return Publication.objects.ended_before(_moment_before(older_than)).count()


def _in_batches(prune_batch: Callable[[], int]) -> int:
    pruned = 0
    while batch := prune_batch():
        pruned += batch
    return pruned


def _prune_publications(before: datetime) -> int:
    ended = Publication.objects.ended_before(before)
    ids = list(ended.values_list("pk", flat=True)[:BATCH])
    if ids:
        with joining():
            PublicationEvent.objects.filter(publication_id__in=ids).delete()
            Publication.objects.filter(pk__in=ids).delete()
    return len(ids)


def _prune_runs(over: QuerySet[Run]) -> int:
    # Who invoked it is told of its end by the invocation, which would go with it.
    awaited = Invocation.objects.filter(child=OuterRef("pk"), parent__in=Run.objects.live())
    ids = list(over.exclude(Exists(awaited)).values_list("pk", flat=True)[:BATCH])
    if ids:
        with joining():
            forget(ids)
    return len(ids)
