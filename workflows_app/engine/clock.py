"""The only door time comes in by. Tests move it; nothing else may read the system's clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_frozen: datetime | None = None


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _frozen or datetime.now(UTC)


@contextmanager
def travel(to: datetime) -> Iterator[None]:
    """Stop the clock at `to`, for every thread, until the block ends. Nests."""
    global _frozen
    before, _frozen = _frozen, to
    try:
        yield
    finally:
        _frozen = before
