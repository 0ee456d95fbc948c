"""Plain messages: look at one, cancel some (Upstash reference 1.8)."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import publication_moves
from workflows_app.engine.publication_moves import find_publication
from workflows_app.models import Publication
from workflows_app.rest.authentication import account_of
from workflows_app.rest.upstash import message_operations as operations
from workflows_app.rest.upstash.message_filters import NAMES, MessageFilter
from workflows_app.rest.upstash.message_rows import render_message
from workflows_app.rest.views import ApiView, read_bulk_parameters

ALL = (1 << 31) - 1
"""Without a count (Upstash reference 9 (5))."""


class MessageView(ApiView):
    @operations.show_message
    def get(self, request: Request, message_id: str) -> Response:
        return Response(render_message(find_publication(account_of(request), message_id)))

    @operations.cancel_message
    def delete(self, request: Request, message_id: str) -> Response:
        publication_moves.cancel(find_publication(account_of(request), message_id))
        return Response({"cancelled": 1})


class MessagesView(ApiView):
    @operations.cancel_messages
    def delete(self, request: Request) -> Response:
        given = read_bulk_parameters(request)
        given.require_known(("count", *NAMES))
        wanted = MessageFilter.read(given)
        publications = Publication.objects.of(account_of(request)).filter(
            wanted.conditions() & wanted.dates("created_at")
        )
        limit = given.count(default=ALL, most=ALL)
        return Response({"cancelled": publication_moves.cancel_all(publications, limit)})
