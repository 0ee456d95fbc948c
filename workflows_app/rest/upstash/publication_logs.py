"""The log of plain messages, newest first (Upstash reference 1.8, 6.6)."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.errors import InvalidInput
from workflows_app.models import Account, Publication, PublicationEvent
from workflows_app.rest.authentication import account_of
from workflows_app.rest.pagination import PageRequest, paginate
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash import message_operations as operations
from workflows_app.rest.upstash.message_bodies import MessageEventBody
from workflows_app.rest.upstash.message_filters import MessageFilter
from workflows_app.rest.upstash.message_rows import STATES, render_event
from workflows_app.rest.upstash.vocabulary import ours
from workflows_app.rest.views import ApiView, read_parameters

DEFAULT_EVENTS = 100
MOST_EVENTS = 1000
DEFAULT_MESSAGES = 10
MOST_MESSAGES = 100
_UNFINISHED = "IN_PROGRESS"
_JOINED = ("publication__queue", "publication__flow_control")

Listed = tuple[list[MessageEventBody], str | None]


class MessageEventsView(ApiView):
    @operations.list_events
    def get(self, request: Request) -> Response:
        events, cursor = _listed(account_of(request), read_parameters(request))
        return Response({"events": events, **({"cursor": cursor} if cursor else {})})


class MessageLogsView(ApiView):
    @operations.list_logs
    def get(self, request: Request) -> Response:
        logs, cursor = _listed(account_of(request), read_parameters(request))
        return Response({"logs": logs, **({"cursor": cursor} if cursor else {})})


def _listed(account: Account, given: Parameters) -> Listed:
    events = _events(account, given)
    trim = given.number("trimBody")
    match given.text("groupBy"):
        case None:
            page = paginate(events, given.page(default=DEFAULT_EVENTS, most=MOST_EVENTS))
            return [render_event(event, trim) for event in page.rows], page.cursor
        case "messageId":
            wanted = given.page(default=DEFAULT_MESSAGES, most=MOST_MESSAGES)
            return _by_message(account, events, wanted, trim)
    raise InvalidInput('groupBy must be "messageId" here, or left out')


def _by_message(
    account: Account, events: QuerySet[PublicationEvent], wanted: PageRequest, trim: int | None
) -> Listed:
    """A page is of messages, each with all its events that match."""
    matching = Publication.objects.of(account).filter(pk__in=events.values("publication"))
    page = paginate(matching, wanted)
    places = {publication.pk: place for place, publication in enumerate(page.rows)}
    order = "id" if wanted.oldest_first else "-id"
    found = list(events.filter(publication__in=places).order_by(order))
    found.sort(key=lambda event: places[event.publication_id])
    return [render_event(event, trim) for event in found], page.cursor


def _events(account: Account, given: Parameters) -> QuerySet[PublicationEvent]:
    wanted = MessageFilter.read(given)
    events = PublicationEvent.objects.filter(account=account).select_related(*_JOINED)
    return events.filter(
        wanted.conditions("publication__") & wanted.dates("at") & _in_state(given.texts("state"))
    )


def _in_state(states: tuple[str, ...]) -> Q:
    """What is not finished is no state of an event, but of its message."""
    if not states:
        return Q()
    single = tuple(state for state in states if state != _UNFINISHED)
    in_state = Q(state__in=ours("state", STATES, single))
    if _UNFINISHED in states:
        in_state |= Q(publication__status=Publication.Status.WAITING)
    return in_state
