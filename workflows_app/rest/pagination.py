"""Pages of rows, joined by opaque cursors: rows that come or go move no page."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

from workflows_app.errors import InvalidInput

Row = TypeVar("Row", bound=Model)

_CURSOR = re.compile(rb"(before|after):([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    count: int
    cursor: str | None = None
    oldest_first: bool = False
    skip: int = 0
    """Rows to be left out, from where the cursor goes on."""

    @property
    def direction(self) -> str:
        """In which a cursor goes on."""
        return "after" if self.oldest_first else "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    rows: list[Row]
    cursor: str | None
    """Where the next page begins; None when this is the last (Upstash reference 1.1 (13))."""


def paginate(rows: QuerySet[Row], wanted: PageRequest) -> Page[Row]:
    """Raises InvalidInput for a cursor that is none of ours, or that goes in another direction."""
    if wanted.cursor is not None:
        pk = _read_cursor(wanted.cursor, wanted.direction)
        rows = rows.filter(**{"pk__gt" if wanted.oldest_first else "pk__lt": pk})
    ordered = rows.order_by("pk" if wanted.oldest_first else "-pk")
    found = list(ordered[wanted.skip : wanted.skip + wanted.count + 1])
    page = found[: wanted.count]
    more = len(found) > wanted.count
    return Page(rows=page, cursor=_write_cursor(page[-1].pk, wanted.direction) if more else None)


def is_oldest_first(cursor: str) -> bool:
    """In which direction it goes on. Raises InvalidInput for a cursor that is none of ours."""
    return _parse_cursor(cursor)[1] == b"after"


def _write_cursor(pk: int, direction: str) -> str:
    return urlsafe_b64encode(f"{direction}:{pk}".encode()).decode().rstrip("=")


def _read_cursor(text: str, direction: str) -> int:
    match = _parse_cursor(text)
    if match[1].decode() != direction:
        raise _no_cursor(text)
    return int(match[2])


def _parse_cursor(text: str) -> re.Match[bytes]:
    try:
        match = _CURSOR.fullmatch(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        match = None
    if match is None:
        raise _no_cursor(text)
    return match


def _no_cursor(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:100]!r} is not a cursor; send the one that came with the page before, or none"
    )
