"""The URL that a caller writes behind the route, raw: `/v2/trigger/https://host/a//b?x=1` (Upstash
reference 1.1 (7)).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, unquote_plus

from django.http import HttpRequest

from workflows_app.rest.authentication import TOKEN_PARAMETER

_SCHEME = re.compile("https?://", re.IGNORECASE)
_ALLOWED_IN_URLS = "/:?[]@!$&'()*+,;=~"
_CONFIGURATION = "upstash-"


def destination_of(request: HttpRequest, route: str) -> str:
    """What follows `route` in the request's target, with the part of its query that is not ours."""
    url = raw_path(request, route)
    if not _SCHEME.match(url):
        url = unquote(url)
    query = _foreign_query(request.META.get("QUERY_STRING", ""))
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"


def configuration_in_query(request: HttpRequest) -> list[tuple[str, str]]:
    """The `upstash-*` parameters, which stand for headers (Upstash reference 1.1 (9))."""
    parts = request.META.get("QUERY_STRING", "").split("&")
    pairs = [part.partition("=") for part in parts if _is_configuration(part)]
    return [(_name(name), unquote_plus(value)) for name, _, value in pairs]


def first_segment(request: HttpRequest, route: str) -> tuple[str, str]:
    """The path's segment after `route`, as it was written and decoded."""
    written = raw_path(request, route).partition("/")[0]
    return written, unquote(written)


def raw_path(request: HttpRequest, route: str) -> str:
    """What follows `route` in the path, as it was written."""
    target = _raw_target(request)
    if target is not None and route in target:
        return target.split("?", 1)[0].partition(route)[2]
    # This server tells only the decoded path; what a URL cannot hold is encoded again.
    return quote(request.path.partition(route)[2], safe=_ALLOWED_IN_URLS)


def _raw_target(request: HttpRequest) -> str | None:
    """As the server received it: uvicorn's and daphne's `raw_path`, or gunicorn's and uWSGI's own
    variables; `runserver` tells none.
    """
    raw_path = getattr(request, "scope", {}).get("raw_path")
    if isinstance(raw_path, bytes):
        return raw_path.decode("latin-1")
    target: str | None = request.META.get("RAW_URI") or request.META.get("REQUEST_URI")
    return target


def _foreign_query(query: str) -> str:
    return "&".join(
        part
        for part in query.split("&")
        if part and not _is_configuration(part) and _name(part.partition("=")[0]) != TOKEN_PARAMETER
    )


def _is_configuration(part: str) -> bool:
    return _name(part.partition("=")[0]).startswith(_CONFIGURATION)


def _name(encoded: str) -> str:
    return unquote_plus(encoded).lower()
