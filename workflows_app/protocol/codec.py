"""JSON as payloads and results are stored and sent: compact, raw UTF-8, nothing beyond JSON.

Values of workflow authors may hold bytes: in JSON these are an object whose only key is `$bytes`.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import Any, NoReturn

from workflows_app.errors import InvalidInput, NotSerializable

BYTES = "$bytes"
"""The only key of an object that stands for bytes, with these in base64."""

_TAG = f'{{"{BYTES}":'
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_HELD_AS_THEY_ARE = frozenset({type(None), bool, int, str, float, bytes})


def encode_json(value: object) -> str:
    """Write a value as JSON. Tuples become lists; numbers, booleans and None become texts as keys.

    The result can always be encoded as UTF-8: lone surrogates are escaped, as `JSON.stringify`
    does. Raises NotSerializable, which names the place and type of what JSON cannot hold.
    """
    return _write(_encoder, value)


def encode_value(value: object) -> str:
    """As `encode_json`, with bytes anywhere in the value.

    Raises NotSerializable also for a dict that would be read as bytes.
    """
    text = _write(_value_encoder, value, bytes)
    if _TAG in text and (place := _tagged_by_its_author(value, "")) is not None:
        raise NotSerializable(
            f'{_place(place)} is a dict whose only key is "{BYTES}", and would be read as bytes; '
            "add another key, or put the bytes themselves there"
        )
    return text


def decode_json(text: str | bytes) -> Any:
    """Read JSON; bytes are UTF-8. Raises InvalidInput for anything else, NaN and Infinity too."""
    return _read(_decoder, text)


def decode_value(text: str | bytes) -> Any:
    """What `encode_value` has written. Others' JSON may have that key too: where it stands alone
    and no base64 is with it, it is a dict. Raises InvalidInput as `decode_json` does.
    """
    has_bytes = BYTES in text if isinstance(text, str) else BYTES.encode() in text
    return _read(_value_decoder if has_bytes else _decoder, text)


def bytes_in(text: str) -> bytes | None:
    """Those that are the whole value, if bytes are."""
    value = decode_value(text) if text.startswith(_TAG) else None
    return value if isinstance(value, bytes) else None


def text_or_value(content: bytes) -> str:
    """UTF-8 as the text that it is, other bytes as `encode_value` writes them."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return encode_value(content)


def round_trip(value: object) -> tuple[str, Any]:
    """The value's JSON, and the value as a later replay reads it from there: a tuple as a list."""
    text = encode_value(value)
    if type(value) in _HELD_AS_THEY_ARE and "\\u" not in text:
        return text, value
    return text, decode_value(text)


def _write(encoder: json.JSONEncoder, value: object, *beyond_json: type) -> str:
    try:
        text = encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(_explain(value, error, beyond_json)) from None
    return text if text.isascii() else encodable(text)


def _read(decoder: json.JSONDecoder, text: str | bytes) -> Any:
    try:
        return decoder.decode(text if isinstance(text, str) else text.decode())
    except RecursionError:
        raise InvalidInput("The JSON is nested too deeply.") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The JSON is not UTF-8: {error.reason} at byte {error.start + 1}."
        ) from None
    except ValueError as error:
        raise InvalidInput(f"This is not JSON: {error}.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _tagged(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {BYTES: base64.b64encode(value).decode()}
    raise TypeError


def _untagged(found: dict[str, Any]) -> Any:
    if found.keys() == {BYTES} and isinstance(text := found[BYTES], str):
        with suppress(ValueError):
            return base64.b64decode(text, validate=True)
    return found


def _tagged_by_its_author(value: object, path: str) -> str | None:
    """Where in the value, which is known to be writable, there is a dict as bytes become one."""
    if not isinstance(value, dict | list | tuple):
        return None
    if isinstance(value, dict) and value.keys() == {BYTES}:
        return path
    inside = (_tagged_by_its_author(item, f"{path}{step}") for step, item in _items(value))
    return next((place for place in inside if place is not None), None)


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_value_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_tagged
)
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_value_decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_hook=_untagged)


def encodable(text: str) -> str:
    """The text with lone surrogates escaped, as `JSON.stringify` does: UTF-8 cannot hold them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def _explain(value: object, error: Exception, beyond_json: tuple[type, ...]) -> str:
    try:
        fault = _fault(value, "", (), beyond_json)
    except RecursionError:
        return "the value is nested too deeply for JSON; flatten it first"
    return fault or f"the value cannot be written as JSON: {error}"


def _fault(
    value: object, path: str, outer: tuple[int, ...], beyond_json: tuple[type, ...]
) -> str | None:
    """The first place in the value that JSON cannot hold, as a sentence; the encoder knows none."""
    if isinstance(value, (str, type(None), *beyond_json)):
        return None
    if isinstance(value, int | float):
        return _number_fault(value, _place(path))
    if not isinstance(value, dict | list | tuple):
        return f"{_place(path)} is {_a(value)}, which JSON cannot hold; convert it first"
    if id(value) in outer:
        return f"{_place(path)} contains itself, which JSON cannot hold"
    keys = value if isinstance(value, dict) else ()
    of_keys = (_key_fault(key, _place(path)) for key in keys)
    around = (*outer, id(value))
    inside = (_fault(item, f"{path}{step}", around, beyond_json) for step, item in _items(value))
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
