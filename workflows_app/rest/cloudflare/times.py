"""Points in time, as the dialect writes and reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from workflows_app.errors import InvalidInput


def write_time(moment: datetime) -> str:
    """ISO 8601 in UTC, as in 2030-01-02T12:00:00.000Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def write_optional_time(moment: datetime | None) -> str | None:
    return None if moment is None else write_time(moment)


def read_time(name: str, text: str) -> datetime:
    """What names no zone is UTC. Raises InvalidInput, naming the parameter."""
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name} is {text[:100]!r} but must be a time such as 2030-01-02T12:00:00Z"
        ) from None
