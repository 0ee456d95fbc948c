"""JSON as payloads and results are stored and sent: compact, raw UTF-8, nothing beyond JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any, NoReturn

from workflows_app.errors import InvalidInput, NotSerializable

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_HELD_AS_THEY_ARE = frozenset({type(None), bool, int, str, float})


def encode_json(value: object) -> str:
    """Write a value as JSON. Tuples become lists; numbers, booleans and None become texts as keys.

    The result can always be encoded as UTF-8: lone surrogates are escaped, as `JSON.stringify`
    does. Raises NotSerializable, which names the place and type of what JSON cannot hold.
    """
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(_explain(value, error)) from None
    return text if text.isascii() else _encodable(text)


def decode_json(text: str | bytes) -> Any:
    """Read JSON; bytes are UTF-8. Raises InvalidInput for anything else, NaN and Infinity too."""
    try:
        return _decoder.decode(text if isinstance(text, str) else text.decode())
    except RecursionError:
        raise InvalidInput("The JSON is nested too deeply.") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The JSON is not UTF-8: {error.reason} at byte {error.start + 1}."
        ) from None
    except ValueError as error:
        raise InvalidInput(f"This is not JSON: {error}.") from None


def round_trip(value: object) -> tuple[str, Any]:
    """The value's JSON, and the value as a later replay reads it from there: a tuple as a list."""
    text = encode_json(value)
    if type(value) in _HELD_AS_THEY_ARE and "\\u" not in text:
        return text, value
    return text, _decoder.decode(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def _explain(value: object, error: Exception) -> str:
    try:
        fault = _fault(value, "", ())
    except RecursionError:
        return "the value is nested too deeply for JSON; flatten it first"
    return fault or f"the value cannot be written as JSON: {error}"


def _fault(value: object, path: str, outer: tuple[int, ...]) -> str | None:
    """The first place in the value that JSON cannot hold, as a sentence; the encoder knows none."""
    if isinstance(value, str | None):
        return None
    if isinstance(value, int | float):
        return _number_fault(value, _place(path))
    if not isinstance(value, dict | list | tuple):
        return f"{_place(path)} is {_a(value)}, which JSON cannot hold; convert it first"
    if id(value) in outer:
        return f"{_place(path)} contains itself, which JSON cannot hold"
    keys = value if isinstance(value, dict) else ()
    of_keys = (_key_fault(key, _place(path)) for key in keys)
    inside = (_fault(item, f"{path}{step}", (*outer, id(value))) for step, item in _items(value))
    return next(filter(None, chain(of_keys, inside)), None)


def _number_fault(number: int | float, place: str) -> str | None:
    try:
        text = str(number)
    except ValueError:
        return f"{place} is an integer with more digits than Python writes; use a text instead"
    if isinstance(number, int) or math.isfinite(number):
        return None
    return f"{place} is {text}, which JSON cannot hold; use None instead"


def _key_fault(key: object, place: str) -> str | None:
    if isinstance(key, str | None):
        return None
    if isinstance(key, int | float):
        return _number_fault(key, f"a key of {place}")
    return f"a key of {place} is {_a(key)}; JSON has only texts as keys"


def _items(value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        return ((f"[{index}]", item) for index, item in enumerate(value))
    return (
        (f".{key}" if str(key).isidentifier() else f"[{key!r}]", item)
        for key, item in value.items()
    )


def _place(path: str) -> str:
    return path[1:] if path.startswith(".") else f"the value{path}"


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
