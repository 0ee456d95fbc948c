"""What single Upstash-* headers may hold: each function reads one kind of value or refuses it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast, get_args

from workflows_app.errors import InvalidDuration, InvalidInput
from workflows_app.protocol.durations import format_duration, parse_duration
from workflows_app.protocol.exchange import canonical_header
from workflows_app.protocol.expressions import parse_expression
from workflows_app.protocol.runs import FlowControlSpec

CallType = Literal["step", "toCallback", "fromCallback", "failureCall"]
"""What a workflow message is; a header that is absent means "step"."""

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_LONGEST_PERIOD = timedelta(days=7)
_COUNT = re.compile(r"[0-9]{1,18}")
_REDACTED_HEADER = re.compile(r"headers?\[\s*([^\[\]]*[^\[\]\s])\s*\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """Which parts of a message and of its run are shown only as hashes (Upstash reference 5.8)."""

    body: bool = False
    all_headers: bool = False
    headers: frozenset[str] = frozenset()
    """Canonical names of single headers."""

    def encode(self) -> str:
        """As `parse_redaction` reads it."""
        whole = [
            name
            for name, is_meant in (("body", self.body), ("header", self.all_headers))
            if is_meant
        ]
        return ",".join([*whole, *(f"header[{name}]" for name in sorted(self.headers))])


def parse_truth(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
    raise InvalidInput(f'{_shown(text)} must be "true" or "false".')


def parse_count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise InvalidInput(f"{_shown(text)} must be a whole number, 0 or more.")
    return int(text)


def parse_method(text: str) -> str:
    if (method := text.upper()) not in _METHODS:
        raise InvalidInput(f"{_shown(text)} must be one of {', '.join(_METHODS)}.")
    return method


def parse_call_type(text: str) -> CallType:
    if text not in get_args(CallType):
        raise InvalidInput(f"{_shown(text)} must be one of {', '.join(get_args(CallType))}.")
    return cast(CallType, text)


def parse_delay(text: str) -> timedelta:
    """A duration; a negative one has passed, and means "at once" (Upstash reference 4.4 (3))."""
    duration = parse_duration(text.removeprefix("-"))
    return timedelta() if text.startswith("-") else duration


def parse_timeout(text: str) -> timedelta | None:
    """A duration; 0 means no limit of its own."""
    return parse_duration(text) or None


def checked_expression(text: str) -> str:
    """Return a retry delay expression unchanged if it can be calculated."""
    return parse_expression(text).text


def parse_list(text: str) -> tuple[str, ...]:
    """A comma list in its order, without empty and repeated elements."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def parse_redaction(text: str) -> Redaction:
    """A list such as "body,header[Authorization]" or "body,header" (Upstash reference 5.8)."""
    parts = parse_list(text)
    names = [match[1] for part in parts if (match := _REDACTED_HEADER.fullmatch(part))]
    whole = [part for part in parts if part in ("body", "header", "headers")]
    if len(names) + len(whole) != len(parts):
        raise InvalidInput(f'{_shown(text)} must list "body", "header" or "header[Name]".')
    return Redaction(
        body="body" in whole,
        all_headers=bool({"header", "headers"} & set(whole)),
        headers=frozenset(map(canonical_header, names)),
    )


def parse_flow_control(key: str, text: str) -> FlowControlSpec:
    """The limits of a key, such as "parallelism=2, rate=5, period=1m" (Upstash reference 5.5)."""
    limits: dict[str, str] = {}
    for part in parse_list(text):
        name, _, value = part.partition("=")
        limits[name.strip()] = value.strip()
    if not limits.keys() <= {"parallelism", "rate", "period"} or not limits.keys() - {"period"}:
        raise InvalidInput(
            f"{_shown(text)} must give parallelism, rate or both, and may give a period, "
            'such as "parallelism=2, rate=5, period=1m".'
        )
    return FlowControlSpec(
        key=key,
        parallelism=_limit("parallelism", limits),
        rate=_limit("rate", limits),
        period=_period(limits.get("period", "1s")),
    )


def _limit(name: str, limits: dict[str, str]) -> int | None:
    if name not in limits:
        return None
    if not _COUNT.fullmatch(limits[name]) or not int(limits[name]):
        raise InvalidInput(f"{name} is {_shown(limits[name])} but must be a whole number from 1.")
    return int(limits[name])


def _period(text: str) -> timedelta:
    period = parse_duration(text)
    if not timedelta() < period <= _LONGEST_PERIOD:
        raise InvalidDuration(
            f"period is {_shown(text)} but must be more than 0s "
            f"and at most {format_duration(_LONGEST_PERIOD)}."
        )
    return period


def _shown(text: str) -> str:
    return repr(text[:100])
