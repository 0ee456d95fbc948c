"""One HTTP request that goes out, and what comes back, free of any HTTP library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal

from workflows_app.errors import InvalidInput
from workflows_app.protocol.credentials import is_credential

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request to be sent. `timeout` bounds the exchange up to the last byte of the answer."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response of any status. Header names are canonical, each with its values in order."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes
    came: bool = True
    """False for what stands for an answer when there is none."""


class SendFailed(Exception):
    """There is no answer to use: it came too late, not at all, or this server's settings forbid the
    exchange.

    Unless `message` says otherwise, the other side may have acted on the request all the same.
    """

    def __init__(self, kind: Literal["timeout", "unreachable", "forbidden"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@lru_cache(maxsize=1024)
def canonical_header(name: str) -> str:
    """The name as Go writes it, "content-type" as "Content-Type" (Upstash reference 1.1 (14)).

    What is not a header name is returned unchanged.
    """
    if not is_header_name(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


_OF_ONE_CONNECTION = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def is_header_name(name: str) -> bool:
    """Whether HTTP allows a header of this name."""
    return _HEADER_NAME.fullmatch(name) is not None


def check_headers(headers: Mapping[Any, Any]) -> None:
    """Raises InvalidInput unless names are such as HTTP allows, and values are texts."""
    for name, value in headers.items():
        if not isinstance(name, str) or not is_header_name(name):
            raise InvalidInput(f"{name!r:.80} is not the name of a header")
        if not isinstance(value, str):
            shown = type(value).__name__ if is_credential(name) else f"{value!r:.80}"
            raise InvalidInput(f"the header {name} must be a text, not {shown}")


def is_hop_by_hop(name: str) -> bool:
    """Whether a header belongs to one connection and must not be carried over to another.

    Upstash reference 2.5 (2), which counts what describes the body's encoding among them.
    """
    lower = name.lower()
    return lower in _OF_ONE_CONNECTION or lower.startswith("proxy-")
