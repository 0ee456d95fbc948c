"""Forgetting what has ended, in small transactions that lock nothing for long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.models import (
    Attempt,
    DeadLetter,
    Deduplication,
    Invocation,
    Message,
    Publication,
    PublicationEvent,
    Run,
    RunLabel,
    Step,
)

BATCH = 500


def prune(older_than: timedelta) -> int:
    """Delete runs that ended longer ago, with all that belongs to them; how many."""
    return _prune(_prune_runs, older_than)


def prunable(older_than: timedelta) -> int:
    return Run.objects.ended_before(clock.now() - older_than).count()


def prune_messages(older_than: timedelta) -> int:
    """Delete plain messages that ended longer ago, with their logs, and those of their dead
    letters that nobody has decided on; how many. Keys that stand for no message any more go too.
    """
    Deduplication.objects.filter(ends_at__lte=clock.now()).delete()
    return _prune(_prune_publications, older_than)


def prunable_messages(older_than: timedelta) -> int:
    return Publication.objects.ended_before(clock.now() - older_than).count()


def _prune(prune_batch: Callable[[datetime], int], older_than: timedelta) -> int:
    before = clock.now() - older_than
    pruned = 0
    while batch := prune_batch(before):
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


def _prune_runs(before: datetime) -> int:
    # Who invoked it is told of its end by the invocation, which would go with it.
    awaited = Invocation.objects.filter(child=OuterRef("pk"), parent__in=Run.objects.live())
    ended = Run.objects.ended_before(before).exclude(Exists(awaited))
    ids = list(ended.values_list("pk", flat=True)[:BATCH])
    if ids:
        with joining():
            for rows in (Step, Attempt, RunLabel, Message, DeadLetter):
                rows.objects.filter(run_id__in=ids).delete()
            Run.objects.filter(pk__in=ids).delete()
    return len(ids)
