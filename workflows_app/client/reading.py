"""The server's JSON, read field by field. What is unknown is left alone, so that a newer server can
say more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from workflows_app.client.errors import UnreadableAnswer
from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Fields:
    """An object of an answer. A field that has another type than it should is no field."""

    def __init__(self, said: Any) -> None:
        if not isinstance(said, Mapping):
            raise UnreadableAnswer(f"the server answered {said!r:.100} instead of an object")
        self.all: Mapping[str, Any] = said

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise UnreadableAnswer(f"the server's answer lacks {name}")
        return value

    def text(self, name: str) -> str | None:
        """An empty one counts as none."""
        value = self.all.get(name)
        return value if isinstance(value, str) and value else None

    def content(self, name: str) -> str | None:
        """A text that may be empty."""
        value = self.all.get(name)
        return value if isinstance(value, str) else None

    def number(self, name: str) -> int | None:
        value = self.all.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def truth(self, name: str) -> bool:
        return self.all.get(name) is True

    def milliseconds(self, name: str) -> datetime | None:
        """A moment, in milliseconds since 1970."""
        return self._moment(name, timedelta(milliseconds=1))

    def required_milliseconds(self, name: str) -> datetime:
        moment = self.milliseconds(name)
        if moment is None:
            raise UnreadableAnswer(f"the server's answer lacks {name}")
        return moment

    def seconds(self, name: str) -> datetime | None:
        return self._moment(name, timedelta(seconds=1))

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.all.get(name)
        items = value if isinstance(value, list) else []
        return tuple(item for item in items if isinstance(item, str))

    def headers(self, name: str) -> Mapping[str, tuple[str, ...]]:
        value = self.all.get(name)
        pairs = value.items() if isinstance(value, Mapping) else ()
        return {
            key: tuple(values) if isinstance(values, list) else (values,) for key, values in pairs
        }

    def each(self, name: str, read: Callable[[Any], T]) -> tuple[T, ...]:
        value = self.all.get(name)
        return tuple(read(item) for item in value) if isinstance(value, list) else ()

    def one(self, name: str, read: Callable[[Any], T]) -> T | None:
        value = self.all.get(name)
        return read(value) if isinstance(value, Mapping) else None

    def _moment(self, name: str, unit: timedelta) -> datetime | None:
        number = self.number(name)
        if number is None:
            return None
        try:
            return _EPOCH + number * unit
        except OverflowError:
            return None


def read_list(said: Any, read: Callable[[Any], T]) -> tuple[T, ...]:
    if not isinstance(said, list):
        raise UnreadableAnswer(f"the server answered {said!r:.100} instead of an array")
    return tuple(read(item) for item in said)


def json_or_text(text: str | None) -> Any:
    """Decoded JSON where it is JSON, else the text."""
    if text is None:
        return None
    try:
        return decode_json(text)
    except InvalidInput:
        return text
