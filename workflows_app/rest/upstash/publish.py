"""Publishing one message or a batch (Upstash reference 1.2, E1 to E3)."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.rest.authentication import FullToken, account_of
from workflows_app.rest.callers import caller_ip
from workflows_app.rest.destinations import first_segment
from workflows_app.rest.schema import undescribed
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.batches import publish_all
from workflows_app.rest.upstash.items import read_item, read_items
from workflows_app.rest.upstash.publishing import publish
from workflows_app.rest.views import ApiView

PUBLISH = "/v2/publish/"
ENQUEUE = "/v2/enqueue/"


class PublishView(ApiView):
    """Services that can only be given a URL call it by the methods of their own; how the message
    is delivered, only `Upstash-Method` says.
    """

    http_method_names = ["get", "post", "put", "patch", "delete"]
    permission_classes = [FullToken]

    @operations.publish
    def post(self, request: Request, destination: str) -> Response:
        published = publish(account_of(request), read_item(request, PUBLISH), caller_ip(request))
        return Response(published, status=_status(published))

    @undescribed
    def get(self, request: Request, destination: str) -> Response:
        return self.post(request, destination)

    put = patch = delete = get


class EnqueueView(ApiView):
    @operations.enqueue
    def post(self, request: Request, queue: str, destination: str) -> Response:
        written, queue = first_segment(request._request, ENQUEUE)
        item = replace(read_item(request, f"{ENQUEUE}{written}/"), queue=queue)
        published = publish(account_of(request), item, caller_ip(request))
        return Response(published, status=_status(published))


class BatchView(ApiView):
    @operations.batch
    def post(self, request: Request) -> Response:
        """All items or none."""
        return Response(publish_all(account_of(request), read_items(request), caller_ip(request)))


def _status(published: Any) -> HTTPStatus:
    """Upstash reference 1.2, E1."""
    known = isinstance(published, dict) and published.get("deduplicated")
    return HTTPStatus.ACCEPTED if known else HTTPStatus.OK
