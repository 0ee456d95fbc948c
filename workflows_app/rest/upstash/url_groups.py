"""URL groups, which the dialect's routes call topics (Upstash reference 1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.conf import get_settings
from workflows_app.engine import url_groups
from workflows_app.engine.url_groups import Endpoint, find_url_group
from workflows_app.errors import InvalidInput, LimitExceeded
from workflows_app.models import UrlGroup
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.urls import check_url
from workflows_app.rest.authentication import account_of
from workflows_app.rest.upstash import message_operations as operations
from workflows_app.rest.upstash.json_bodies import read_object, read_text
from workflows_app.rest.upstash.message_bodies import EndpointBody, UrlGroupBody
from workflows_app.rest.upstash.vocabulary import header_map
from workflows_app.rest.views import ApiView

EXAMPLE = '{"endpoints": [{"url": "https://shop.example.org/", "name": "shop"}]}'
_LONGEST_NAME = 255


class UrlGroupsView(ApiView):
    @operations.list_url_groups
    def get(self, request: Request) -> Response:
        groups = UrlGroup.objects.filter(account=account_of(request)).order_by("name")
        return Response(list(map(render_url_group, groups.prefetch_related("endpoints"))))


class UrlGroupView(ApiView):
    http_method_names = [*ApiView.http_method_names, "patch"]

    @operations.show_url_group
    def get(self, request: Request, name: str) -> Response:
        return Response(render_url_group(find_url_group(account_of(request), name)))

    @operations.change_url_group
    def patch(self, request: Request, name: str) -> Response:
        headers = _headers(read_object(request, '{"headers": {"Upstash-Retries": "5"}}'))
        group = url_groups.set_default_headers(account_of(request), name, headers)
        return Response(render_url_group(group))

    @operations.delete_url_group
    def delete(self, request: Request, name: str) -> Response:
        url_groups.delete(account_of(request), name)
        return Response({})


class EndpointsView(ApiView):
    @operations.add_endpoints
    def post(self, request: Request, name: str) -> Response:
        endpoints = _endpoints(read_object(request, EXAMPLE))
        for endpoint in endpoints:
            check_url(endpoint.url)
        group = url_groups.add_endpoints(account_of(request), name, endpoints)
        return Response(render_url_group(group))

    @operations.remove_endpoints
    def delete(self, request: Request, name: str) -> Response:
        endpoints = _endpoints(read_object(request, EXAMPLE))
        url_groups.remove_endpoints(account_of(request), name, endpoints)
        return Response({})


def _endpoints(said: Mapping[str, Any]) -> list[Endpoint]:
    endpoints = said.get("endpoints")
    if not isinstance(endpoints, list) or not endpoints:
        raise InvalidInput(f"endpoints must be an array that is not empty, such as {EXAMPLE}")
    most = get_settings().MAX_BATCH
    if len(endpoints) > most:
        raise LimitExceeded(f"at most {most} endpoints can be named at once, not {len(endpoints)}")
    return list(map(_endpoint, endpoints))


def _endpoint(said: Any) -> Endpoint:
    if not isinstance(said, Mapping):
        raise InvalidInput(f"an endpoint must be an object, not {said!r:.80}")
    endpoint = Endpoint(url=read_text(said, "url"), name=read_text(said, "name"))
    if not endpoint.url and not endpoint.name:
        raise InvalidInput("an endpoint is known by its url or its name; send one of them")
    if len(endpoint.name) > _LONGEST_NAME:
        raise InvalidInput(f"the name of an endpoint has at most {_LONGEST_NAME} characters")
    return endpoint


def _headers(said: Mapping[str, Any]) -> dict[str, str]:
    """A value is a text or an array of texts."""
    headers = said.get("headers")
    if not isinstance(headers, Mapping):
        raise InvalidInput("headers must be an object of texts")
    joined = {
        name: ",".join(value) if isinstance(value, list) and all(map(_is_text, value)) else value
        for name, value in headers.items()
    }
    for name, value in joined.items():
        if not isinstance(value, str):
            raise InvalidInput(f"the header {name[:100]!r} must be a text")
    return joined


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def render_url_group(group: UrlGroup) -> UrlGroupBody:
    endpoints = sorted(group.endpoints.all(), key=lambda endpoint: endpoint.pk)
    body: UrlGroupBody = {
        "name": group.name,
        "createdAt": unix_milliseconds(group.created_at),
        "updatedAt": unix_milliseconds(group.updated_at),
        "endpoints": [_render_endpoint(endpoint.url, endpoint.name) for endpoint in endpoints],
    }
    headers: dict[str, str] = decode_json(group.headers)
    if headers:
        body["headers"] = header_map(headers)
    return body


def _render_endpoint(url: str, name: str) -> EndpointBody:
    return {"url": url, "name": name} if name else {"url": url}
