"""How requests leave: by httpx, for both shells alike."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx

from workflows_app.client.connection import Connection
from workflows_app.client.exchange import Answer, NoAnswer, Request
from workflows_app.errors import InvalidInput
from workflows_app.protocol.durations import author_duration

SEND_ERRORS = (httpx.HTTPError, httpx.InvalidURL)

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_LONGEST_CONNECTING = timedelta(seconds=10)
_SENDABLE = re.compile(r"[\t\x20-\x7e]*")


def timeout_of(timeout: timedelta | str) -> httpx.Timeout:
    """For each wait on the server: to connect, to send, and between the parts of its answer."""
    length = author_duration(timeout)
    connecting = min(length, _LONGEST_CONNECTING)
    return httpx.Timeout(length.total_seconds(), connect=connecting.total_seconds())


def outgoing(connection: Connection, request: Request) -> dict[str, Any]:
    """The arguments of httpx's `request`. Raises InvalidInput, without telling the header's value,
    which may be a secret.
    """
    for name, value in request.headers.items():
        if not _SENDABLE.fullmatch(value):
            raise InvalidInput(f"the header {name} holds characters that HTTP cannot send")
    return {
        "method": request.method,
        "url": f"{connection.base_url}{request.target}",
        "headers": {
            "User-Agent": "workflows_app",
            **request.headers,
            "Authorization": f"Bearer {connection.token}",
        },
        "content": request.content,
    }


def answered(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, content=response.content)


def not_answered(error: httpx.HTTPError | httpx.InvalidURL) -> NoAnswer:
    if isinstance(error, httpx.InvalidURL):
        raise InvalidInput(f"the request cannot be written as a URL: {error}") from None
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return NoAnswer(reason=reason, was_sent=not isinstance(error, _NEVER_SENT))
