"""Whose turn it is in a queue. A message that has a slot has a due time, all others have none.

Everything here happens under the lock of the queue's row, which comes before any lock on its
messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from workflows_app.engine import clock
from workflows_app.engine.ports import get_dispatcher
from workflows_app.models import Account, Message, PublicationEvent, Queue
from workflows_app.protocol.names import check_name


def lock_queue(account: Account, name: str) -> Queue:
    """The queue of that name, made at its first use."""
    check_name("the name of a queue", name)
    now = clock.now()
    while True:
        made = {"created_at": now, "updated_at": now}
        queue, _ = Queue.objects.get_or_create(account=account, name=name, defaults=made)
        held = lock(queue.pk)
        if held is not None:
            return held
        # It was deleted between the two statements.


def lock_queues(account: Account, names: Iterable[str]) -> None:
    """Comes before publishing through several in one transaction: all who do so lock them in the
    same order, lest they wait for each other.
    """
    for name in sorted(set(names)):
        lock_queue(account, name)


def lock(queue_pk: int) -> Queue | None:
    return Queue.objects.select_for_update().filter(pk=queue_pk).first()


def has_room(queue: Queue) -> bool:
    return not queue.paused and _taken(queue) < queue.parallelism


def arrange(queue: Queue) -> None:
    """Give free slots to those that have waited longest, and take back what is too many."""
    taken = _taken(queue)
    free = (0 if queue.paused else queue.parallelism) - taken
    if free > 0:
        _give(queue, free)
    elif free < 0:
        _take_back(queue, -free)


def _taken(queue: Queue) -> int:
    return queue.messages.filter(due_at__isnull=False).count()


def _give(queue: Queue, free: int) -> None:
    waiting = queue.messages.filter(due_at=None).select_related("publication").order_by("id")
    for message in waiting[:free]:
        Message.objects.filter(pk=message.pk).update(due_at=_due_at(message))
        get_dispatcher().ring()


def _due_at(message: Message) -> datetime:
    """Not before its time, nor before that of its next attempt, if it had a slot before."""
    publication = message.publication
    assert publication is not None, "queues hold publications"  # noqa: S101
    retries = publication.events.filter(state=PublicationEvent.State.RETRY)
    retry_at = retries.order_by("-id").values_list("next_attempt_at", flat=True).first()
    return max(filter(None, (clock.now(), publication.not_before, retry_at)))


def _take_back(queue: Queue, surplus: int) -> None:
    """From the newest, but from none that is in flight."""
    now = clock.now()
    idle = queue.messages.filter(Q(token=None) | Q(due_at__lte=now), due_at__isnull=False)
    newest = list(idle.order_by("-id").values_list("pk", flat=True)[:surplus])
    # One that is claimed meanwhile keeps its slot.
    idle.filter(pk__in=newest).update(due_at=None, token=None)
