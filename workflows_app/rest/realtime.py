"""/realtime: what happens to runs, as server-sent events (docs/realtime.md)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal, TypedDict

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine.changes import Kind
from workflows_app.engine.following import Follower
from workflows_app.engine.run_moves import find_run
from workflows_app.engine.scopes import Scope
from workflows_app.engine.streaming import Look, Seen, open_stream
from workflows_app.errors import InvalidInput
from workflows_app.models import Token
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.server_sent_events import CONTENT_TYPE, frame, position
from workflows_app.rest.authentication import TokenAuthentication, account_of, token_of
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.schema import Access, in_header, in_query, operation
from workflows_app.rest.tickets import (
    TICKET_PARAMETER,
    TicketAuthentication,
    is_valid,
    issue_ticket,
    scope_of,
    ticket_of,
)
from workflows_app.rest.views import ApiView, read_bulk_parameters, read_parameters

LATER = 10
"""Seconds after which there may be room for another stream."""
FILTERS = ("run", "workflow", "label")
LAST_EVENT_ID = "lastEventId"

_FILTERS = (
    in_query("run", "The id of a run. It is told from its beginning, and the stream ends with it."),
    in_query("workflow", "The name of a workflow: all its runs, from now on."),
    in_query("label", "Runs with this label; several with commas between them: with any of them."),
)


class ErrorBody(TypedDict, total=False):
    type: str
    message: str
    step: str


class WhatBody(TypedDict):
    type: Literal[
        "run.accepted",
        "run.started",
        "run.paused",
        "run.resumed",
        "run.ended",
        "step.finished",
        "step.failed",
        "step.canceled",
        "step.sleeping",
        "step.waiting",
        "attempt.failed",
    ]
    time: int
    runId: str
    workflow: str
    createdAt: int


class EventBody(WhatBody, total=False):
    """The data of an event."""

    step: str
    key: str
    kind: str
    attempt: int
    startedAt: int
    status: Literal["succeeded", "failed", "canceled"]
    result: Any
    resultSize: int
    error: ErrorBody
    until: int
    eventId: str


class TicketBody(TypedDict):
    ticket: str
    expiresAt: int


EXAMPLE: EventBody = {
    "type": Kind.STEP_FINISHED.value,
    "time": 1893585600000,
    "runId": "order-7",
    "workflow": "order-fulfillment",
    "createdAt": 1893585599000,
    "step": "create-order",
    "key": "create-order",
    "kind": "run",
    "attempt": 1,
    "startedAt": 1893585599990,
    "result": {"order": 7},
}


class RealtimeView(ApiView):
    http_method_names = ["get"]
    authentication_classes = [TicketAuthentication, TokenAuthentication]

    @operation(
        Access.ANY_TOKEN,
        name="realtime_follow",
        summary="Server-sent events of one run, or of many",
        answer=EventBody,
        example=EXAMPLE,
        media_type=CONTENT_TYPE,
        refused=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
        parameters=(
            *_FILTERS,
            in_query(TICKET_PARAMETER, "From POST /realtime/tickets; says which runs, by itself."),
            in_query(LAST_EVENT_ID, "As the header, for browsers that cannot send it."),
            in_header("Last-Event-ID", "The id of the last event, to go on from there."),
        ),
    )
    def get(self, request: Request) -> HttpResponseBase:
        given = read_parameters(request)
        given.require_known((*FILTERS, TICKET_PARAMETER, LAST_EVENT_ID))
        ticket = ticket_of(request)
        scope = scope_of(ticket, account_of(request)) if ticket else _scope(request, given)
        if ticket and any(map(given.text, FILTERS)):
            raise InvalidInput("a ticket says itself which runs it is for; send it alone")
        last_event_id = request.headers.get("Last-Event-ID") or given.text(LAST_EVENT_ID) or ""
        follower = Follower(scope, last_event_id)
        if follower.is_over:
            # Who is told this does not come again; after the end of a stream, it would.
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        answer = _stream(request, _looking(follower, token_of(request)))
        if ticket:
            # Nothing but the ticket lets anybody in, so it does not matter whose page this is for.
            answer["Access-Control-Allow-Origin"] = "*"
        return answer


class TicketsView(ApiView):
    http_method_names = ["post"]
    permission_classes = []  # it is for reading

    @operation(
        Access.ANY_TOKEN,
        name="realtime_create_ticket",
        summary="A ticket with which a browser follows these runs for a while",
        answer=TicketBody,
        example={"ticket": "eyJ0b2tlbiI6MX0:Pk1pNWQ", "expiresAt": 1893586500000},
        refused=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND),
        parameters=_FILTERS,
    )
    def post(self, request: Request) -> Response:
        given = read_bulk_parameters(request)
        given.require_known(FILTERS)
        ticket = issue_ticket(token_of(request), _scope(request, given))
        body: TicketBody = {
            "ticket": ticket.text,
            "expiresAt": unix_milliseconds(ticket.expires_at),
        }
        return Response(body)


def _scope(request: Request, given: Parameters) -> Scope:
    """Raises RunNotFound."""
    account, run_id = account_of(request), given.text("run")
    workflow, labels = given.text("workflow"), given.texts("label")
    if run_id is None:
        return Scope(account=account, workflow=workflow or "", labels=labels)
    if workflow is not None or labels:
        raise InvalidInput("run names one run; leave workflow and label out")
    return Scope(account=account, run=find_run(account, run_id).pk)


def _looking(follower: Follower, token: Token) -> Look:
    def look() -> Seen:
        if not is_valid(token):
            return Seen(is_last=True)
        changes = follower.look()
        where = follower.cursor.encode()
        frames = [frame(encode_json(change.body())) for change in changes]
        # After all of them: who is cut off in between is told them again.
        return Seen(
            content=b"".join([*frames, position(where)]) if frames else b"",
            sign=position(where),
            is_all=follower.is_all,
            is_last=follower.is_over,
        )

    return look


def _stream(request: Request, look: Look) -> HttpResponseBase:
    is_async = isinstance(request._request, ASGIRequest)
    # A server of one thread would answer nobody else meanwhile.
    can_wait = is_async or request.META.get("wsgi.multithread", True)
    stream = open_stream(look, is_async=is_async) if can_wait else None
    if stream is None:
        return Response(
            {"error": "no more streams can be open here; come again, or read the logs"},
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            headers={"Retry-After": str(LATER)},
        )
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(stream, content_type=CONTENT_TYPE, headers=headers)
