"""What a run, or a message, asked to be hidden: only its hash is shown (`protocol.redaction`).

All of these take and give JSON as it is stored, or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.redaction import Redactor


def hidden_value(text: str | None, redactor: Redactor) -> str | None:
    """A payload, an argument or a result."""
    return None if text is None else redactor.body(text)


def hidden_headers(text: str, redactor: Redactor) -> str:
    return encode_json(redactor.header_texts(decode_json(text)))


def hidden_exchange(text: str | None, redactor: Redactor) -> str | None:
    """A request or an answer: an object with headers and a body."""
    if text is None or not redactor.hides_anything:
        return text
    return encode_json(_hidden(decode_json(text), redactor))


def hidden_error(text: str | None, redactor: Redactor) -> str | None:
    """The message of an exception may hold anything, and its traceback ends with it. The message
    about an answer names its URL and status.
    """
    if text is None or not redactor.hides_anything:
        return text
    error = _hidden(decode_json(text), redactor)
    if redactor.hides_bodies and "status" not in error:
        error = {**error, "message": redactor.body(str(error.get("message", ""))), "stack": ""}
    return encode_json(error)


def _hidden(said: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    return {name: _part(name, value, redactor) for name, value in said.items()}


def _part(name: str, value: Any, redactor: Redactor) -> Any:
    match name, value:
        case "body", str():
            return redactor.body(value)
        case (("headers" | "header"), Mapping()):
            lists = {key: each for key, each in value.items() if isinstance(each, list)}
            texts = {key: each for key, each in value.items() if isinstance(each, str)}
            return {**redactor.headers(lists), **redactor.header_texts(texts)}
    return value
