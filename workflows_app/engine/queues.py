"""Queues: messages one after the other, or a few at a time."""

from __future__ import annotations

from django.db.models import Count

from workflows_app.engine import clock, queue_slots
from workflows_app.engine.database import joining
from workflows_app.engine.publication_moves import cancel_all
from workflows_app.errors import InvalidInput, LimitExceeded, NotFound
from workflows_app.models import Account, Message, Publication, Queue

MOST_PARALLEL = 1000


def find_queue(account: Account, name: str) -> Queue:
    """Raises NotFound."""
    queue = Queue.objects.filter(account=account, name=name).first()
    if queue is None:
        raise NotFound(f'there is no queue "{name[:100]}" in this account')
    return queue


def lag(queue: Queue) -> int:
    """How many messages it has yet to deliver."""
    return queue.messages.count()


def lags(account: Account) -> dict[int, int]:
    """The same of all queues by their keys; of those that have any."""
    waiting = Message.objects.filter(queue__account=account)
    return dict(waiting.values_list("queue").annotate(Count("pk")).order_by())


def upsert(
    account: Account, name: str, *, parallelism: int | None = None, paused: bool | None = None
) -> Queue:
    """Make the queue, or change it; what is None stays, or is 1 and False."""
    if parallelism is not None:
        _check_parallelism(parallelism)
    with joining():
        queue = queue_slots.lock_queue(account, name)
        if parallelism is not None:
            queue.parallelism = parallelism
        if paused is not None:
            queue.paused = paused
        queue.updated_at = clock.now()
        queue.save(update_fields=["parallelism", "paused", "updated_at"])
        queue_slots.arrange(queue)
    return queue


def _check_parallelism(parallelism: int) -> None:
    if parallelism < 1:
        raise InvalidInput(f"the parallelism of a queue is 1 or more, not {parallelism}")
    if parallelism > MOST_PARALLEL:
        raise LimitExceeded(f"the parallelism of a queue is at most {MOST_PARALLEL}")


def pause(account: Account, name: str) -> Queue:
    """What is under way goes on; nothing more starts. Raises NotFound."""
    find_queue(account, name)
    return upsert(account, name, paused=True)


def resume(account: Account, name: str) -> Queue:
    """Raises NotFound."""
    find_queue(account, name)
    return upsert(account, name, paused=False)


def delete(account: Account, name: str) -> None:
    """With all that it has yet to deliver, which is cancelled. Raises NotFound."""
    with joining():
        queue = queue_slots.lock(find_queue(account, name).pk)
        if queue is not None:
            # Else each that is cancelled would let the next one start.
            queue.paused = True
            queue.save(update_fields=["paused"])
            cancel_all(Publication.objects.filter(queue=queue))
            queue.delete()
