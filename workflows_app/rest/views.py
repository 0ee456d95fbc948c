"""What all routes of the REST surfaces share."""

from __future__ import annotations

from typing import Any, NoReturn

from django.http import HttpRequest
from drf_spectacular.openapi import AutoSchema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from workflows_app.conf import get_settings
from workflows_app.errors import NotFound, PayloadTooLarge
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.texts import storable
from workflows_app.rest.authentication import FullTokenToWrite, TokenAuthentication
from workflows_app.rest.errors import render_error
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.request_body import read_up_to


class JsonRenderer(BaseRenderer):
    """JSON as the rest of the app writes it, whatever the project has set for its own API."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        return encode_json(data).encode()


class AlwaysJson(BaseContentNegotiation):
    """Neither `Accept` nor `?format=`, which may belong to a destination, changes the answer."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JsonRenderer(), JsonRenderer.media_type


class ApiView(APIView):
    """A route for holders of a token. The project's own settings for its API do not matter here."""

    http_method_names = ["get", "head", "post", "delete"]
    authentication_classes = [TokenAuthentication]
    permission_classes = [FullTokenToWrite]
    parser_classes = []
    renderer_classes = [JsonRenderer]
    throttle_classes = []
    content_negotiation_class = AlwaysJson
    versioning_class = None
    metadata_class = None
    schema = AutoSchema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if any(storable(value) != value for value in kwargs.values()):
            raise NotFound("nothing here has a name with NUL in it")

    def http_method_not_allowed(self, request: HttpRequest, *_: object, **__: object) -> NoReturn:
        allowed = " or ".join(self.allowed_methods)
        sentence = f"{request.method} is not possible here; use {allowed}"
        raise MethodNotAllowed(request.method or "", detail=sentence)

    def handle_exception(self, exc: Exception) -> Response:
        answer = render_error(exc)
        answer.exception = True
        return answer


class OpenView(ApiView):
    """A route for anyone."""

    authentication_classes = []
    permission_classes = []


def read_body(request: Request) -> bytes:
    """The raw body, whole. Raises PayloadTooLarge as soon as it is known to be."""
    most = get_settings().MAX_PAYLOAD_BYTES
    body = read_up_to(request._request, most)
    if len(body) > most:
        raise PayloadTooLarge(f"the body is larger than the {most} bytes that this server accepts")
    return body


def read_parameters(request: Request) -> Parameters:
    """Of the query alone."""
    return Parameters.of(request.META.get("QUERY_STRING", ""))


def read_bulk_parameters(request: Request) -> Parameters:
    """Of the query and the JSON body, for verbs over many."""
    return Parameters.of(request.META.get("QUERY_STRING", ""), read_body(request))
