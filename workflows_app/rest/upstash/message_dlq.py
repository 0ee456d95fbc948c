"""The dead letter queue of plain messages; `/v2/dlq` lists that of workflows, too, where it is
asked for (Upstash reference 1.5, E13, 1.8).
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import publication_moves
from workflows_app.engine.publication_moves import find_dead_publication
from workflows_app.errors import DeadLetterNotFound, InvalidInput
from workflows_app.models import Account, Publication, PublicationEvent
from workflows_app.protocol.ids import parse_dead_letter_id
from workflows_app.rest.authentication import account_of
from workflows_app.rest.pagination import Page, PageRequest, paginate
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash import dlq as workflow_dlq
from workflows_app.rest.upstash import message_operations as operations
from workflows_app.rest.upstash.dead_letters import render_letters
from workflows_app.rest.upstash.message_bodies import (
    AllRepublishedBody,
    DeadMessageBody,
    DeadMessagesBody,
)
from workflows_app.rest.upstash.message_filters import DEAD_LETTER_NAMES, MessageFilter
from workflows_app.rest.upstash.message_rows import render_dead_message
from workflows_app.rest.views import ApiView, read_bulk_parameters, read_parameters

DEFAULT_COUNT = 100
MOST = 1000
MOST_LISTED = 100
_LARGEST_STATUS = 999
FILTERS = ("count", "cursor", "order", "dlqIds", "responseStatus", *DEAD_LETTER_NAMES)


class DeadMessagesView(ApiView):
    @operations.list_dead_messages
    def get(self, request: Request) -> Response:
        given, account = read_parameters(request), account_of(request)
        if given.text("source") == "workflow":
            return Response(
                render_letters(workflow_dlq.find(account, *workflow_dlq.read_list(given)))
            )
        page = given.page(default=DEFAULT_COUNT, most=MOST_LISTED)
        return Response(_render_page(_found(account, given, page)))

    @operations.delete_dead_messages
    def delete(self, request: Request) -> Response:
        found = _named(request)
        dead = Publication.objects.filter(pk__in=[row.pk for row in found.rows])
        deleted = publication_moves.dismiss_all(dead)
        return Response(workflow_dlq.render_deleted(deleted, found.cursor))


class DeadMessageView(ApiView):
    @operations.show_dead_message
    def get(self, request: Request, dlq_id: str) -> Response:
        publication = find_dead_publication(account_of(request), dlq_id)
        return Response(_render([publication])[0])

    @operations.delete_dead_message
    def delete(self, request: Request, dlq_id: str) -> Response:
        publication = find_dead_publication(account_of(request), dlq_id)
        dead = Publication.objects.filter(pk=publication.pk)
        return Response({"deleted": publication_moves.dismiss_all(dead)})


class RetryView(ApiView):
    @operations.retry_dead_message
    def post(self, request: Request, dlq_id: str) -> Response:
        again = publication_moves.retry(find_dead_publication(account_of(request), dlq_id))
        return Response({"messageId": again.public_id}, status=HTTPStatus.CREATED)


class RetryManyView(ApiView):
    @operations.retry_dead_messages
    def post(self, request: Request) -> Response:
        found = _named(request)
        again = publication_moves.retry_all(found.rows)
        body: AllRepublishedBody = {
            "responses": [{"messageId": publication.public_id} for publication in again]
        }
        if found.cursor is not None:
            body["cursor"] = found.cursor
        return Response(body, status=HTTPStatus.CREATED)


# -- finding


def _named(request: Request) -> Page[Publication]:
    """Of verbs over many, an unknown filter is refused (Upstash reference 1.1 (12))."""
    given = read_bulk_parameters(request)
    given.require_known(FILTERS)
    ids = given.texts("dlqIds")
    if len(ids) > MOST:
        raise InvalidInput(f"dlqIds has {len(ids)} ids; at most {MOST} are taken at once")
    page = given.page(default=max(len(ids), DEFAULT_COUNT), most=MOST)
    return _found(account_of(request), given, page)


def _found(account: Account, given: Parameters, page: PageRequest) -> Page[Publication]:
    wanted = MessageFilter.read(given)
    dead = Publication.objects.of(account).filter(status=Publication.Status.FAILED)
    dead = dead.filter(wanted.conditions() & wanted.dates("ended_at") & _answered(given))
    ids = given.texts("dlqIds")
    found = _among(dead, ids) if ids else dead
    return paginate(found.select_related("account", "queue", "flow_control"), page)


def _answered(given: Parameters) -> Q:
    statuses = [status for status in given.numbers("responseStatus") if status <= _LARGEST_STATUS]
    if not given.texts("responseStatus"):
        return Q()
    failed = PublicationEvent.objects.filter(
        state=PublicationEvent.State.FAILED, response_status__in=statuses
    )
    return Q(pk__in=failed.values("publication"))


def _among(dead: QuerySet[Publication], public_ids: Collection[str]) -> QuerySet[Publication]:
    """What cannot be an id names nothing."""
    candidates = dead.filter(pk__in=list(filter(None, map(_number_in, public_ids))))
    found = [each.pk for each in candidates if each.dead_letter_id in public_ids]
    return dead.filter(pk__in=found)


def _number_in(public_id: str) -> int | None:
    try:
        return parse_dead_letter_id(public_id)[1]
    except DeadLetterNotFound:
        return None


# -- rendering


def _render_page(page: Page[Publication]) -> DeadMessagesBody:
    body: DeadMessagesBody = {"messages": _render(page.rows)}
    if page.cursor is not None:
        body["cursor"] = page.cursor
    return body


def _render(publications: list[Publication]) -> list[DeadMessageBody]:
    events = PublicationEvent.objects.filter(
        publication__in=publications, state=PublicationEvent.State.FAILED
    )
    ends = {event.publication_id: event for event in events}
    return [render_dead_message(each, ends[each.pk]) for each in publications]
