"""What callers write in queries and bodies. Names that nobody knows are ignored, as newer clients
may send them (Cloudflare reference 6, 26).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from rest_framework.request import Request

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.texts import check_storable
from workflows_app.rest.cloudflare.times import read_time
from workflows_app.rest.views import read_body

_WHOLE_NUMBER = re.compile(r"([0-9]{1,18})(\.0*)?")
"""Clients whose numbers are all floats send `1.0`."""
HIGHEST = (1 << 31) - 1
"""What a column holds."""


class Query:
    """Of a name that is given several times, the last value counts; an empty one counts as none."""

    def __init__(self, request: Request) -> None:
        pairs = parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True)
        self._values = dict(pairs)

    def text(self, name: str) -> str | None:
        value = self._values.get(name) or None
        if value is not None:
            check_storable(name, value)
        return value

    def required_text(self, name: str) -> str:
        return _required(name, self.text(name))

    def number(self, name: str, *, most: int = HIGHEST) -> int | None:
        """A whole number from 1."""
        text = self.text(name)
        if text is None:
            return None
        match = _WHOLE_NUMBER.fullmatch(text)
        return _in_range(name, int(match[1]) if match else text, 1, most)

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        text = self.text(name)
        known = list(choices)
        if text is not None and text not in known:
            raise InvalidInput(f"{name} is {text[:100]!r} but must be one of {', '.join(known)}")
        return text

    def required_choice(self, name: str, choices: Iterable[str]) -> str:
        return _required(name, self.choice(name, choices))

    def moment(self, name: str) -> datetime | None:
        text = self.text(name)
        return None if text is None else read_time(name, text)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object of a body. What is null counts as absent; errors name a field by its `place`
    and its name, as in "limits.steps".
    """

    said: Mapping[str, Any]
    place: str = ""

    def value(self, name: str) -> Any:
        return self.said.get(name)

    def text(self, name: str, *, most: int) -> str | None:
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            raise InvalidInput(
                f"{self.name_of(name)} must be a text of 1 to {most} characters, not {value!r:.80}"
            )
        check_storable(self.name_of(name), value)
        return value

    def required_text(self, name: str, *, most: int) -> str:
        text = self.text(name, most=most)
        if text is None:
            raise InvalidInput(f"{self.name_of(name)} is missing; it is a text")
        return text

    def number(self, name: str, *, least: int = 1, most: int = HIGHEST) -> int | None:
        value = self.value(name)
        return None if value is None else _in_range(self.name_of(name), value, least, most)

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        value: str | None = self.value(name)
        known = list(choices)
        if value is not None and value not in known:
            raise InvalidInput(
                f"{self.name_of(name)} is {value!r:.80} but must be one of {', '.join(known)}"
            )
        return value

    def flag(self, name: str) -> bool:
        """False where there is none."""
        value = self.value(name)
        if value is not None and not isinstance(value, bool):
            raise InvalidInput(f"{self.name_of(name)} is {value!r:.80} but must be true or false")
        return bool(value)

    def object(self, name: str) -> Fields:
        """Empty where there is none."""
        value, named = self.value(name), self.name_of(name)
        return Fields({} if value is None else _object(named, value), f"{named}.")

    def items(self, name: str, *, most: int) -> list[Any]:
        """Empty where there is none."""
        value = self.value(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > most:
            raise InvalidInput(f"{self.name_of(name)} must be a list of at most {most}")
        return value

    def name_of(self, name: str) -> str:
        return f"{self.place}{name}"


def read_fields(request: Request) -> Fields:
    """The body, an object. An empty one has no fields."""
    return fields_of("the body", read_json(request, absent={}))


def fields_of(what: str, value: object, place: str = "") -> Fields:
    """Raises InvalidInput for what is no object, naming it."""
    return Fields(_object(what, value), place)


def read_json(request: Request, *, absent: Any) -> Any:
    """The body; `absent` where there is none."""
    body = read_body(request)
    return decode_json(body) if body.strip() else absent


def _required(name: str, text: str | None) -> str:
    if text is None:
        raise InvalidInput(f"{name} is missing; it is a part of the query")
    return text


def _object(what: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{what} must be a JSON object, not {value!r:.80}")
    return value


def _in_range(name: str, value: object, least: int, most: int) -> int:
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
        return number
    raise InvalidInput(f"{name} is {value!r:.80} but must be a whole number, {least} to {most}")
