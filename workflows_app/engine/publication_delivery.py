"""Delivering a plain message: one signed request, whose answer settles it or owes the next."""

from __future__ import annotations

from http import HTTPStatus

from workflows_app.engine import clock, queue_slots
from workflows_app.engine.callbacks import owe_callback, owe_failure_callback
from workflows_app.engine.database import settling
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.outcomes import Dead, Delivered, Outcome, RetryAt, classify
from workflows_app.engine.ports import Exchange
from workflows_app.engine.publications import log
from workflows_app.engine.requests import overlaid, signed
from workflows_app.engine.settling import retry
from workflows_app.errors import LeaseLost
from workflows_app.models import Message, Publication, PublicationEvent
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.texts import storable

State = PublicationEvent.State

_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")


def publication_exchange(lease: Lease) -> Exchange:
    """The request; settled by what is answered. Raises LeaseLost for one that was cancelled."""
    publication = _publication_of(lease)
    attempt = _attempt_at(publication)
    with settling():
        hold(lease)
        log(publication, State.ACTIVE)

    def settle(answer: Answer) -> None:
        settle_attempt(lease, publication, answer, attempt)

    return Exchange(request=_request(publication, attempt), settle=settle)


def give_up_publication(lease: Lease, answer: Answer) -> None:
    """Without an attempt more, whatever the policy says. Raises LeaseLost."""
    publication = _publication_of(lease)
    _settle(lease, publication, Dead(answer), _attempt_at(publication))


def _publication_of(lease: Lease) -> Publication:
    publications = Publication.objects.select_related("account", "queue")
    publication = publications.filter(pk=lease.publication_id or 0).first()
    if publication is None:
        raise LeaseLost
    return publication


def _attempt_at(publication: Publication) -> int:
    return 1 + publication.events.filter(state=State.ERROR).count()


def _request(publication: Publication, attempt: int) -> Outgoing:
    """Upstash reference 3.1."""
    own = {
        "Upstash-Message-Id": publication.public_id,
        "Upstash-Retried": str(attempt - 1),
        "Upstash-Caller-Ip": publication.caller_ip,
        "Upstash-Schedule-Id": publication.schedule_id,
        "Upstash-Topic-Name": publication.url_group,
        "Upstash-Queue-Name": publication.queue.name if publication.queue else "",
        "Content-Type": publication.content_type,
    }
    said = {name: value for name, value in own.items() if value}
    body = bytes(publication.body)
    return signed(
        publication.account,
        method=publication.method,
        url=publication.url,
        body=None if not body and publication.method in _WITHOUT_BODY else body,
        headers=overlaid(publication.header_map, said),
        timeout=publication.timeout,
    )


def settle_attempt(lease: Lease, publication: Publication, answer: Answer, attempt: int) -> None:
    """Raises LeaseLost when another worker has taken over, or when it was cancelled."""
    policy = RetryPolicy(retries=publication.retries, delay_expression=publication.retry_delay)
    _settle(lease, publication, classify(answer, policy, attempt, clock.now()), attempt)


def _settle(lease: Lease, publication: Publication, outcome: Outcome, attempt: int) -> None:
    with settling():
        queue = queue_slots.lock(publication.queue_id) if publication.queue_id else None
        _act(lease, publication, outcome)
        owe_callback(publication, outcome.answer, attempt)
        if isinstance(outcome, Dead):
            owe_failure_callback(publication, outcome.answer, attempt)
        if queue is not None:
            queue_slots.arrange(queue)


def _act(lease: Lease, publication: Publication, outcome: Outcome) -> None:
    """Raises LeaseLost."""
    response = _response(outcome.answer)
    match outcome:
        case Delivered():
            _end(lease, publication, Publication.Status.DELIVERED)
            log(publication, State.DELIVERED, **response)
        case RetryAt(moment=moment):
            retry(lease, moment)
            log(publication, State.ERROR, error=_error(outcome.answer), **response)
            log(publication, State.RETRY, next_attempt_at=moment)
        case Dead():
            _end(lease, publication, Publication.Status.FAILED)
            error = _error(outcome.answer)
            log(publication, State.ERROR, error=error, **response)
            log(publication, State.FAILED, error=error, **response)


def _end(lease: Lease, publication: Publication, status: Publication.Status) -> None:
    """Who deletes the message decides how it has ended."""
    if not Message.objects.held(lease.message_id, lease.token).delete()[0]:
        raise LeaseLost
    publication.status, publication.ended_at = status, clock.now()
    publication.save(update_fields=["status", "ended_at"])


def _response(answer: Answer) -> dict[str, object]:
    return {
        "response_status": answer.status,
        "response_headers": storable(encode_json(dict(answer.headers))),
        "response_body": answer.body,
    }


def _error(answer: Answer) -> str:
    """Upstash reference 5.1 (3)."""
    if not answer.came:
        return storable(answer.body.decode(errors="replace"))
    try:
        return f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        return str(answer.status)
