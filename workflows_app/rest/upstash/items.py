"""What is published or triggered: a destination, headers and a body, alone or in a batch (Upstash
reference 1.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.request import Request

from workflows_app.conf import get_settings
from workflows_app.errors import InvalidInput, LimitExceeded, PayloadTooLarge, WorkflowsError
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.rest.destinations import configuration_in_query, destination_of
from workflows_app.rest.views import read_body

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    destination: str
    """A URL, or the name of a URL group."""
    headers: Pairs
    body: bytes | None = None
    queue: str | None = None


def read_item(request: Request, route: str) -> Item:
    """The one that a request is itself; its destination follows `route`. Headers win over the
    `upstash-*` parameters of the query.
    """
    headers: Pairs = list(request.headers.items())
    sent = {name.lower() for name, _ in headers}
    query = [pair for pair in configuration_in_query(request._request) if pair[0] not in sent]
    return Item(
        destination=destination_of(request._request, route),
        headers=[*query, *headers],
        body=read_body(request) or None,
    )


def read_items(request: Request) -> list[Item]:
    """Raises InvalidInput, which says of which item it speaks; items count from 0."""
    items = decode_json(read_body(request))
    if not isinstance(items, list):
        raise InvalidInput(
            'the body must be a JSON array of objects such as {"destination": "https://...", '
            '"headers": {}, "body": "..."}'
        )
    most = get_settings().MAX_BATCH
    if len(items) > most:
        raise PayloadTooLarge(f"a batch holds at most {most} items, not {len(items)}")
    return [_read(index, item) for index, item in enumerate(items)]


def about_item(index: int, error: WorkflowsError) -> WorkflowsError:
    """The same error, saying which item of the batch it is about."""
    return type(error)(f"item {index}: {error.message}")


def _read(index: int, item: Any) -> Item:
    """Raises LimitExceeded for the work of a run, which its SDK would take to have ended at 400."""
    try:
        return _item(item)
    except WorkflowsError as error:
        headers = item.get("headers") if isinstance(item, Mapping) else None
        said = headers.items() if isinstance(headers, Mapping) else ()
        refusal = LimitExceeded(error.message) if is_work_of_a_run(said) else error
        raise about_item(index, refusal) from None


def is_work_of_a_run(headers: Iterable[tuple[object, object]]) -> bool:
    """Whether an endpoint publishes this while it works on a delivery. Of its refused publications,
    only 412 makes its SDK fail the run: 400 means to it that the run has ended, and all else that
    it is to try again (Upstash reference 1.2). What starts a run from outside names a run, too, and
    its caller is to read 400.
    """
    said = {str(name).strip().lower(): str(value).strip().lower() for name, value in headers}
    if "upstash-workflow-runid" not in said:
        return False
    return said.get("upstash-workflow-init") != "true" or any(map(said.get, _BY_ENDPOINTS))


_BY_ENDPOINTS = ("upstash-workflow-invoke", "upstash-workflow-trigger-by-sdk")
"""Of what starts a run, this is sent by endpoints alone."""


def _item(said: Any) -> Item:
    if not isinstance(said, Mapping) or not isinstance(said.get("destination"), str):
        raise InvalidInput('it must be an object with a "destination", a URL')
    body, queue = said.get("body"), said.get("queue")
    if not isinstance(queue, str | None):
        raise InvalidInput("its queue must be a name")
    return Item(
        destination=said["destination"],
        headers=_headers(said.get("headers") or {}),
        body=None if body is None else _encoded(body),
        queue=queue or None,
    )


def _headers(headers: Any) -> Pairs:
    """A value is a text or an array of texts (Upstash reference 1.2, E2)."""
    if not isinstance(headers, Mapping):
        raise InvalidInput("its headers must be an object of texts")
    pairs = [
        (name, value)
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    for name, value in pairs:
        if not isinstance(value, str):
            raise InvalidInput(f"its header {name[:100]!r} must be a text")
    return pairs


def _encoded(body: Any) -> bytes:
    """A text as it is; some clients leave it to the server to write another value as JSON."""
    try:
        return (body if isinstance(body, str) else encode_json(body)).encode()
    except UnicodeEncodeError:
        raise InvalidInput("its body holds half a surrogate pair, which no text has") from None
