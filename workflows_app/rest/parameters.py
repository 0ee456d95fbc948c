"""What callers ask for in the query or in a JSON body (Upstash reference 1.1 (10) to (12))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from workflows_app.conf import get_settings
from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json
from workflows_app.rest.authentication import TOKEN_PARAMETER
from workflows_app.rest.pagination import PageRequest

_CONFIGURATION = "upstash-"
_ALIASES = {"callerIP": "callerIp", "failureCallbackState": "failureFunctionState"}
_NEWEST_FIRST = "latestFirst"
_OLDEST_FIRST = "earliestFirst"
_WHOLE_NUMBER = re.compile("[0-9]{1,18}")
_TIME = re.compile("[0-9]{1,14}")
"""Unix milliseconds up to the year 5138."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BETWEEN_URLS = re.compile(r",(?=https?://)")


class Parameters:
    """Named values, each given any number of times."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if _UNSTORABLE.search(value):
                raise InvalidInput(f"{name} holds characters that nothing here can have")
            self._values.setdefault(_ALIASES.get(name, name), []).append(value)

    @classmethod
    def of(cls, query: str, body: bytes = b"") -> Parameters:
        """From a query string, and from a JSON object where the body has one."""
        return cls([*_own(parse_qsl(query, keep_blank_values=True)), *_read_object(body)])

    def require_known(self, names: Iterable[str]) -> None:
        """Refuse what a verb over many would misread as "all": an unknown filter, an empty one."""
        known = set(names)
        for name, values in self._values.items():
            if name not in known:
                raise InvalidInput(
                    f"{name[:100]!r} is not a filter here; known are {', '.join(sorted(known))}"
                )
            if not any(values) and name != "cursor":
                raise InvalidInput(f"{name} is empty; give it a value or leave it out")

    def without(self, name: str) -> Parameters:
        return Parameters(
            (each, value)
            for each, values in self._values.items()
            for value in values
            if each != name
        )

    def text(self, name: str) -> str | None:
        """The value, the last one if it was given several times; an empty one counts as none."""
        return self._values.get(name, [""])[-1] or None

    def texts(self, name: str) -> tuple[str, ...]:
        """All values: repeated, or with commas between them."""
        return self._split(name, re.compile(","))

    def urls(self, name: str) -> tuple[str, ...]:
        """As `texts`; a comma inside a URL is part of it."""
        return self._split(name, _BETWEEN_URLS)

    def _split(self, name: str, separator: re.Pattern[str]) -> tuple[str, ...]:
        given = self._values.get(name, ())
        parts = [part.strip() for value in given for part in separator.split(value)]
        values = tuple(dict.fromkeys(filter(None, parts)))
        most = get_settings().MAX_BATCH
        if len(values) > most:
            raise InvalidInput(f"{name} has {len(values)} values; at most {most} are taken at once")
        return values

    def number(self, name: str) -> int | None:
        text = self.text(name)
        return None if text is None else _read_number(name, text)

    def numbers(self, name: str) -> tuple[int, ...]:
        return tuple(_read_number(name, text) for text in self.texts(name))

    def count(self, *, default: int, most: int) -> int:
        """How many are wanted; more than `most` are not given at once."""
        count = self.number("count")
        if count == 0:
            raise InvalidInput("count is 0 but must be 1 or more")
        return min(default if count is None else count, most)

    def page(self, *, default: int, most: int) -> PageRequest:
        return PageRequest(
            count=self.count(default=default, most=most),
            cursor=self.text("cursor"),
            oldest_first=self._is_oldest_first(),
        )

    def _is_oldest_first(self) -> bool:
        order = self.text("order") or _NEWEST_FIRST
        if order not in (_NEWEST_FIRST, _OLDEST_FIRST):
            raise InvalidInput(
                f'order is {order[:100]!r} but must be "{_NEWEST_FIRST}" or "{_OLDEST_FIRST}"'
            )
        return order == _OLDEST_FIRST

    def moment(self, name: str) -> datetime | None:
        """A point in time, in unix milliseconds (Upstash reference 1.1 (17))."""
        text = self.text(name)
        return None if text is None else read_milliseconds(name, text)

    def flag(self, name: str) -> bool:
        text = self.text(name)
        if text not in (None, "true", "false"):
            raise InvalidInput(f'{name} is {text[:100]!r} but must be "true" or "false"')
        return text == "true"


def _read_number(name: str, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise InvalidInput(f"{name} is {text[:100]!r} but must be a whole number, 0 or more")
    return int(text)


def read_milliseconds(name: str, text: str) -> datetime:
    """Raises InvalidInput, naming the parameter."""
    if _TIME.fullmatch(text):
        return _EPOCH + timedelta(milliseconds=int(text))
    raise InvalidInput(f"{name} is {text[:100]!r} but must be a time in unix milliseconds")


def _own(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what every route understands: the token and configuration headers."""
    return [
        (name, value)
        for name, value in pairs
        if name != TOKEN_PARAMETER and not name.lower().startswith(_CONFIGURATION)
    ]


def _read_object(body: bytes) -> list[tuple[str, str]]:
    if not body.strip():
        return []
    content = decode_json(body)
    if not isinstance(content, Mapping):
        raise InvalidInput('the body must be a JSON object of filters, such as {"count": 10}')
    return [
        (name, _written(name, item))
        for name, value in content.items()
        if value is not None
        for item in (value if isinstance(value, list) and value else [value])
    ]


def _written(name: str, value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case []:
            return ""
    raise InvalidInput(f"{name[:100]} must be a text, a number, or a list of them")
