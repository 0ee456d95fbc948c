"""Moves of plain messages that people and programs ask for."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from django.db.models import QuerySet

from workflows_app.engine import clock, queue_slots
from workflows_app.engine.database import joining
from workflows_app.engine.publications import log_all, new_message_id, store
from workflows_app.errors import DeadLetterNotFound, NotFound
from workflows_app.models import Account, Message, Publication, PublicationEvent, Queue
from workflows_app.protocol.ids import parse_dead_letter_id

State = PublicationEvent.State

BATCH = 500


def find_publication(account: Account, message_id: str) -> Publication:
    """Raises NotFound."""
    found = Publication.objects.of(account).select_related("flow_control", "queue")
    publication = found.filter(public_id=message_id).first()
    if publication is None:
        raise NotFound(f'there is no message "{message_id[:100]}" in this account')
    return publication


def cancel(publication: Publication) -> None:
    """A request under way may still be answered; the answer is dropped. Raises NotFound for a
    message that has ended.
    """
    if not _cancel([publication.pk]):
        raise NotFound(f'message "{publication.public_id}" has ended and cannot be cancelled')


def cancel_all(publications: QuerySet[Publication], limit: int | None = None) -> int:
    """Cancel those that are waiting, newest first; how many were."""
    waiting = publications.filter(status=Publication.Status.WAITING).order_by("-id")
    ids = list(waiting.values_list("pk", flat=True)[:limit])
    return sum(_cancel(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))


def _cancel(ids: list[int]) -> int:
    """Those that are still owed, which who deletes their messages decides."""
    with joining():
        queues = _lock_queues(ids)
        owed = Message.objects.filter(publication_id__in=ids).order_by("pk").select_for_update()
        held = {message.pk: message.publication_id or 0 for message in owed}
        Message.objects.filter(pk__in=held).delete()
        ended = Publication.objects.filter(pk__in=held.values())
        ended.update(status=Publication.Status.CANCELED, ended_at=clock.now())
        log_all(ended, State.CANCEL_REQUESTED)
        log_all(ended, State.CANCELED)
        for queue in queues:
            queue_slots.arrange(queue)
    return len(held)


def _lock_queues(ids: list[int]) -> list[Queue]:
    """In the order of `queue_slots.lock_queues`."""
    used = Queue.objects.filter(publications__in=ids).distinct()
    locked = [queue_slots.lock(queue.pk) for queue in sorted(used, key=attrgetter("name"))]
    return [queue for queue in locked if queue is not None]


# -- the dead letter queue


def find_dead_publication(account: Account, dlq_id: str) -> Publication:
    """A message that has failed and waits for a decision. Raises DeadLetterNotFound."""
    _, pk = parse_dead_letter_id(dlq_id)
    dead = Publication.objects.of(account).filter(status=Publication.Status.FAILED)
    publication = dead.select_related("account", "flow_control", "queue").filter(pk=pk).first()
    if publication is None or publication.dead_letter_id != dlq_id:
        raise DeadLetterNotFound(
            f'there is no entry "{dlq_id[:100]}" in the dead letter queue of this account'
        )
    return publication


def dismiss_all(publications: QuerySet[Publication]) -> int:
    """Take failed messages out of the dead letter queue; how many were there."""
    failed = publications.filter(status=Publication.Status.FAILED)
    with joining():
        return failed.update(status=Publication.Status.DISMISSED)


def retry_all(publications: Iterable[Publication]) -> list[Publication]:
    """Publish failed messages again: all of them or, when one raises, none."""
    with joining():
        return [retry(publication) for publication in publications]


def retry(publication: Publication) -> Publication:
    """Publish a failed message again, as another one. Who takes it out of the dead letter queue
    does, so there is one. Raises DeadLetterNotFound.
    """
    with joining():
        if not dismiss_all(Publication.objects.filter(pk=publication.pk)):
            raise DeadLetterNotFound(
                f"entry {publication.dead_letter_id} has been retried or deleted already"
            )
        now = clock.now()
        again = Publication.objects.select_related("account", "queue").get(pk=publication.pk)
        queue = queue_slots.lock_queue(again.account, again.queue.name) if again.queue else None
        again.pk, again.public_id = None, new_message_id()
        again.status, again.ended_at = Publication.Status.WAITING, None
        again.not_before = again.created_at = now
        again._state.adding = True
        store(again, queue)
        return again
