"""The OpenAPI description of the routes, at /schema/ and, for people, at /docs/.

Bodies are described by the types that the rendering functions return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, TypeVar

import drf_spectacular
from django.template.backends.django import DjangoTemplates
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import resolve_type_hint
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.renderers import TemplateHTMLRenderer

from workflows_app.rest.authentication import TOKEN_PARAMETER

Method = TypeVar("Method", bound=Callable[..., Any])
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """How errors read in a dialect, with an example for each status."""

    schema: Schema
    examples: Mapping[HTTPStatus, Any]


_ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What is wrong and what to do."}},
    "required": ["error"],
}
_SENTENCES = {
    HTTPStatus.BAD_REQUEST: "count is 'many' but must be a whole number, 0 or more",
    HTTPStatus.UNAUTHORIZED: 'a token is missing: send it as "Authorization: Bearer <token>"',
    HTTPStatus.FORBIDDEN: "This token may only read; use a full token to change anything.",
    HTTPStatus.NOT_FOUND: 'there is no run "wfr_1" in this account',
    HTTPStatus.PRECONDITION_FAILED: "retries must be 0 to 1000, not 1000000",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "the body is larger than the 104857600 bytes that this server accepts"
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "no more streams can be open here; come again, or read the logs"
    ),
}
SENTENCES = Refusals(
    schema=_ERROR, examples={status: {"error": each} for status, each in _SENTENCES.items()}
)


class Description(Protocol):
    """A decorator for the methods of views."""

    def __call__(self, method: Method, /) -> Method: ...


class Access(Enum):
    """Who may call an operation, and with which statuses all others are refused."""

    ANYONE = ()
    ANY_TOKEN = (HTTPStatus.UNAUTHORIZED,)
    FULL_TOKEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def operation(  # noqa: PLR0913 - the parts of an operation
    access: Access,
    *,
    name: str,
    summary: str,
    answer: Any,
    example: Any,
    group: str = "",
    refusals: Refusals = SENTENCES,
    status: HTTPStatus = HTTPStatus.OK,
    unwell: Any = None,
    refused: Sequence[HTTPStatus] = (),
    parameters: Sequence[OpenApiParameter] = (),
    body: Schema | None = None,
    body_example: Any = None,
    raw: str = "",
    media_type: str = "application/json",
) -> Description:
    """Describe the method of a view.

    `answer` is the type that it renders, or its schema; bytes of the content type `raw` may come
    instead; `unwell` is an example of it that comes with 503, and `refused` are statuses beyond
    those of `access`. Without a `group`, operations are
    shown together by what their names begin with.
    """
    responses: dict[Any, Any] = {
        (status.value, media_type): _response(schema_of(answer), status, example)
    }
    if raw:
        responses[status.value, raw] = OpenApiTypes.BINARY
    if unwell is not None:
        away = HTTPStatus.SERVICE_UNAVAILABLE
        responses[away.value] = _response(schema_of(answer), away, unwell)
    for each in (*access.value, *refused):
        responses[each.value] = _response(refusals.schema, each, refusals.examples[each])
    examples = []
    if body_example is not None:
        examples.append(OpenApiExample("body", value=body_example, request_only=True))
    described = extend_schema(
        operation_id=name,
        summary=summary,
        description=summary,
        tags=[group or name.partition("_")[0]],
        parameters=list(parameters),
        request=None if body is None else {"application/json": body},
        responses=responses,
        examples=examples,
    )

    return partial(_described, described)


def undescribed(method: Method) -> Method:
    """Leave the method of a view out."""
    return _described(extend_schema(exclude=True), method)


def _described(describe: Description, method: Method) -> Method:
    # Not the class in the project's settings, which may be another.
    method.kwargs = {"schema": AutoSchema}  # type: ignore[attr-defined]  # where it is looked for
    return describe(method)


def schema_of(answer: Any) -> Schema:
    """Of a type, such as a TypedDict."""
    schema: Schema = answer if isinstance(answer, dict) else resolve_type_hint(answer)  # type: ignore[no-untyped-call]
    return schema


def _response(schema: Schema, status: HTTPStatus, example: Any) -> OpenApiResponse:
    shown = OpenApiExample(str(status.value), value=example, response_only=True)
    return OpenApiResponse(schema, description=status.phrase, examples=[shown])


def in_query(
    name: str, description: str, kind: Any = str, *, required: bool = False
) -> OpenApiParameter:
    """`kind` is a type, or says the values that there are: `Literal["asc", "desc"]`."""
    told = kind if isinstance(kind, type) else schema_of(kind)
    return OpenApiParameter(
        name, told, OpenApiParameter.QUERY, required=required, description=description
    )


def in_header(name: str, description: str, kind: type = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description)


class CloudflareTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "workflows_app.rest.cloudflare.authentication.CloudflareAuthentication"
    name = ["bearer", "key", "serviceKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Schema]:
        return [
            {"type": "http", "scheme": "bearer"},
            {"type": "apiKey", "in": "header", "name": "X-Auth-Key"},
            {"type": "apiKey", "in": "header", "name": "X-Auth-User-Service-Key"},
        ]


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "workflows_app.rest.authentication.TokenAuthentication"
    name = ["token", "tokenInQuery"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Schema]:
        return [
            {"type": "http", "scheme": "bearer"},
            {"type": "apiKey", "in": "query", "name": TOKEN_PARAMETER},
        ]


class TicketScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "workflows_app.rest.tickets.TicketAuthentication"
    name = "ticket"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {"type": "apiKey", "in": "query", "name": self.name}


class MetricsScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "workflows_app.rest.metrics.MetricsAuthentication"
    name = "metricsToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {"type": "http", "scheme": "bearer"}


class SchemaView(SpectacularAPIView):
    """Of this app's routes alone, whatever else the project describes with the same library."""

    schema = None
    urlconf = "workflows_app.urls"
    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    versioning_class = None
    custom_settings = {
        "TITLE": "Workflows",
        "DESCRIPTION": (
            "Durable workflows, in the REST dialects of Upstash Workflow (below /v2) and of "
            "Cloudflare Workflows (below /client/v4)."
        ),
        "VERSION": "2",
        "SCHEMA_PATH_PREFIX": "",
        "POSTPROCESSING_HOOKS": [],
    }


class PageOfLibrary(TemplateHTMLRenderer):
    """Finds the library's own templates also where it is not among the installed apps."""

    def resolve_template(self, template_names: Iterable[str]) -> Any:
        (name,) = template_names
        return _templates_of_library().get_template(name)


@cache
def _templates_of_library() -> DjangoTemplates:
    folder = Path(drf_spectacular.__file__).parent / "templates"
    return DjangoTemplates({"NAME": "docs", "DIRS": [folder], "APP_DIRS": False, "OPTIONS": {}})


class DocsView(SpectacularSwaggerView):
    schema = None
    renderer_classes = [PageOfLibrary]
    url_name = "workflows-schema"
    title = "Workflows"
    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    versioning_class = None
