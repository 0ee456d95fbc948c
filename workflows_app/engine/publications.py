"""Publishing: a plain message, and the work of delivering it, in the caller's transaction."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlsplit

from django.db.models import QuerySet

from workflows_app.conf import get_settings
from workflows_app.engine import clock, deduplication, queue_slots
from workflows_app.engine.database import joining
from workflows_app.engine.flow_control import flow_control_of
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.triggering import check_policy, encode_labels
from workflows_app.engine.url_groups import defaults_of, find_url_group
from workflows_app.errors import InvalidInput, InvalidUrl, LimitExceeded, PayloadTooLarge
from workflows_app.models import Account, Message, Publication, PublicationEvent, Queue, UrlGroup
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.headers import MessageOptions
from workflows_app.protocol.message_options import encode_message_options, layered
from workflows_app.protocol.names import is_name
from workflows_app.protocol.texts import check_storable
from workflows_app.protocol.urls import check_url

_LONGEST_CONTENT_TYPE = 200
_LONGEST_HOST = 255
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A message that now exists; `deduplicated` when it was there before."""

    message_id: str
    url: str | None = None
    """Of the endpoint, for what was published to a URL group."""
    deduplicated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to one endpoint."""

    url: str
    options: MessageOptions
    body: bytes
    caller_ip: str
    queue: str | None = None
    schedule_id: str = ""
    url_group: str = ""
    endpoint_name: str = ""


def publish(  # noqa: PLR0913 - what is published, and how it came
    account: Account,
    destination: str,
    options: MessageOptions,
    body: bytes,
    *,
    caller_ip: str,
    queue: str | None = None,
    schedule_id: str = "",
) -> list[Published]:
    """Accept a message for a URL, or one for each endpoint of a URL group. Joins the caller's
    transaction, and commits or vanishes with it.

    Raises InvalidInput for what cannot be delivered, and NotFound for an unknown URL group.
    """
    draft = Draft(
        url=destination,
        options=options,
        body=body,
        caller_ip=caller_ip,
        queue=queue or options.queue,
        schedule_id=schedule_id,
    )
    with joining():
        drafts = list(_addressed(account, draft))
        for each in drafts:
            check(each.options, each.body)
        return [publish_once(account, each) for each in drafts]


def is_url(destination: str) -> bool:
    """Whether it has a scheme, if only one that nothing is sent to; else it names a URL group."""
    return _SCHEME.match(destination) is not None


def check(options: MessageOptions, body: bytes) -> None:
    """Raises InvalidInput, with a sentence for the caller, when this cannot become a message."""
    most = get_settings().MAX_PAYLOAD_BYTES
    if len(body) > most:
        raise PayloadTooLarge(f"the body has {len(body)} bytes; this server accepts {most}")
    check_options(options)


def check_options(options: MessageOptions) -> None:
    """The same for all that is not the body, callbacks included."""
    content_type = options.content_type or ""
    if len(content_type) > _LONGEST_CONTENT_TYPE:
        raise InvalidInput(f"a content type has at most {_LONGEST_CONTENT_TYPE} characters")
    check_storable("a content type", content_type)
    _check_times(options)
    check_policy(
        retries=options.retries,
        retry_delay=options.retry_delay,
        failure_url=options.failure_callback_url,
        labels=options.labels,
        flow_control=options.flow_control,
    )
    for url in filter(None, (options.callback_url, options.failure_callback_url)):
        _place_of(url)
    for about in filter(None, (options.callback, options.failure_callback)):
        check_options(about)


def _check_times(options: MessageOptions) -> None:
    most = get_settings().MAX_DELAY
    shown = format_duration(most)
    if options.delay is not None and options.delay > most:
        raise LimitExceeded(
            f"a message can be delayed by at most {shown}, not {format_duration(options.delay)}"
        )
    if options.not_before is not None and options.not_before - clock.now() > most:
        raise LimitExceeded(
            f"a message can be delayed by at most {shown}; {options.not_before.isoformat()} is "
            "later"
        )
    if options.timeout is not None and options.timeout > most:
        raise LimitExceeded(f"a timeout is at most {shown}, not {format_duration(options.timeout)}")


def check_destination(account: Account, destination: str) -> UrlGroup | None:
    """The URL group that it names, if it is no URL. Raises InvalidUrl, NotFound."""
    if is_url(destination):
        _place_of(destination)
        return None
    if not is_name(destination):
        raise InvalidUrl(
            f"{destination[:200]!r} is neither a URL, beginning with http:// or https://, nor the "
            "name of a URL group"
        )
    return find_url_group(account, destination)


def _addressed(account: Account, draft: Draft) -> Iterator[Draft]:
    group = check_destination(account, draft.url)
    if group is None:
        yield draft
        return
    options = layered(draft.options, defaults_of(group))
    for endpoint in group.endpoints.order_by("id"):
        yield replace(
            draft,
            url=endpoint.url,
            options=options,
            url_group=group.name,
            endpoint_name=endpoint.name,
        )


def digests(account: Account, destination: str, options: MessageOptions, body: bytes) -> set[str]:
    """What deduplication knows such a message by, at each of its endpoints."""
    draft = Draft(url=destination, options=options, body=body, caller_ip="")
    return set(filter(None, map(_deduplication_key, _addressed(account, draft))))


def publish_once(account: Account, draft: Draft) -> Published:
    """Unless it has been published before."""
    message_id, url = new_message_id(), draft.url if draft.url_group else None
    queue = queue_slots.lock_queue(account, draft.queue) if draft.queue else None
    key = _deduplication_key(draft)
    if key is not None:
        first = deduplication.first_message(account, key, message_id)
        if first != message_id:
            return Published(message_id=first, url=url, deduplicated=True)
    store(new_publication(account, draft, message_id), queue)
    return Published(message_id=message_id, url=url)


def new_message_id() -> str:
    return f"msg_{secrets.token_urlsafe(18)}"


def _deduplication_key(draft: Draft) -> str | None:
    """An id stands for one message of the account, or for one at each endpoint of a URL group."""
    options = draft.options
    if options.deduplication_id is not None:
        return deduplication.digest("id", options.deduplication_id, draft.url_group and draft.url)
    if options.content_based_deduplication:
        headers = sorted(options.forward.items())
        content = sha256(draft.body).hexdigest()
        return deduplication.digest("content", draft.url, content, options.content_type, headers)
    return None


def new_publication(account: Account, draft: Draft, message_id: str) -> Publication:
    settings, options, now = get_settings(), draft.options, clock.now()
    host, path = _place_of(draft.url)
    return Publication(
        account=account,
        public_id=message_id,
        url=draft.url,
        host=host,
        path=path,
        method=options.method or "POST",
        headers=encode_json(dict(options.forward)),
        body=draft.body,
        content_type=options.content_type or "",
        retries=settings.RETRIES if options.retries is None else options.retries,
        retry_delay=settings.RETRY_DELAY if options.retry_delay is None else options.retry_delay,
        timeout=options.timeout,
        callback_url=options.callback_url or "",
        callback_options=encode_message_options(options.callback),
        failure_url=options.failure_callback_url or "",
        failure_options=encode_message_options(options.failure_callback),
        labels=encode_labels(options.labels),
        redaction="" if options.redaction is None else options.redaction.encode(),
        flow_control=flow_control_of(account, options.flow_control),
        url_group=draft.url_group,
        endpoint_name=draft.endpoint_name,
        schedule_id=draft.schedule_id,
        caller_ip=draft.caller_ip,
        not_before=_not_before(options, now),
        created_at=now,
    )


def _place_of(url: str) -> tuple[str, str]:
    """Host and path, as filters name them. Raises InvalidUrl."""
    parts = urlsplit(check_url(url))
    if len(parts.netloc) > _LONGEST_HOST:
        raise InvalidUrl(f"the host of a URL has at most {_LONGEST_HOST} characters: {url[:200]!r}")
    return parts.netloc.lower(), parts.path or "/"


def _not_before(options: MessageOptions, now: datetime) -> datetime:
    if options.not_before is not None:
        return max(now, options.not_before)
    return now if options.delay is None else now + options.delay


def store(publication: Publication, queue: Queue | None) -> None:
    """The publication, and what is owed for it: at its time, or when its queue, which is locked,
    has room for it.
    """
    must_wait = queue is not None and not queue_slots.has_room(queue)
    due_at = None if must_wait else publication.not_before
    publication.queue = queue
    publication.save(force_insert=True)
    Message.objects.create(
        account_id=publication.account_id,
        publication=publication,
        queue=queue,
        kind=Message.Kind.PUBLICATION,
        due_at=due_at,
        flow_control_id=publication.flow_control_id,
        created_at=publication.created_at,
    )
    log(publication, PublicationEvent.State.CREATED, next_attempt_at=publication.not_before)
    get_dispatcher().ring()


def log_all(publications: QuerySet[Publication], state: PublicationEvent.State) -> None:
    """A line in the log of each."""
    PublicationEvent.objects.bulk_create(
        PublicationEvent(account_id=account, publication_id=pk, state=state, at=clock.now())
        for account, pk in publications.values_list("account_id", "pk")
    )


def log(
    publication: Publication, state: PublicationEvent.State, **details: object
) -> PublicationEvent:
    """A line in the log. The keywords are fields of `PublicationEvent`."""
    fields = {"at": clock.now(), **details}
    return PublicationEvent.objects.create(
        account_id=publication.account_id, publication=publication, state=state, **fields
    )
