"""Bodies as workflow authors see them: of a trigger, of a call, of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workflows_app.errors import InvalidInput, NotSerializable
from workflows_app.protocol.codec import decode_json, decode_value, encode_json, encode_value


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResponse:
    """The answer to a `context.call`. A status of 400 or more is an answer too, not an error.

    `body` is decoded JSON where it is JSON, else text; bytes that are not UTF-8 are a character
    each.
    """

    status: int
    header: Mapping[str, list[str]]
    body: Any

    @classmethod
    def from_result(cls, result: Any) -> CallResponse:
        body = json_or_text(result["body"])
        return cls(status=result["status"], header=result["header"], body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeResponse:
    """How a run that was invoked has ended. Failing and being cancelled are ends, not errors.

    `body` is what its function returned, as JSON holds it; None after a failure or cancellation.
    """

    body: Any
    is_failed: bool
    is_canceled: bool

    @classmethod
    def from_result(cls, result: Any) -> InvokeResponse:
        body = result.get("body")
        return cls(
            body=None if body is None else value_or_text(body),
            is_failed=result["isFailed"],
            is_canceled=result["isCanceled"],
        )


def json_or_text(text: str) -> Any:
    """What strangers sent."""
    try:
        return decode_json(text)
    except InvalidInput:
        return text


def value_or_text(text: str) -> Any:
    """What may be a value of another workflow, with bytes in it."""
    try:
        return decode_value(text)
    except InvalidInput:
        return text


def decode_payload(payload: bytes) -> Any:
    """A value where it is the JSON of one, else text, else bytes; None when empty."""
    return _decode(payload, decode_value)


def decode_body(body: bytes) -> Any:
    """What strangers sent: JSON where it is JSON, else text, else bytes; None when empty."""
    return _decode(body, decode_json)


def _decode(content: bytes, read: Callable[[bytes], Any]) -> Any:
    if not content:
        return None
    try:
        return read(content)
    except InvalidInput:
        return _decode_text(content)


def _decode_text(payload: bytes) -> str | bytes:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload


def encode_payload(body: Any) -> tuple[bytes, str]:
    """A run's payload and its content type: bytes as they are, all else as JSON, None as nothing.

    Raises NotSerializable.
    """
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    return b"" if body is None else encode_value(body).encode(), "application/json"


def encode_body(name: str, body: Any) -> tuple[bytes | None, str | None]:
    """A call's body and the content type that it has unless the author says otherwise."""
    if body is None:
        return None, None
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return _encode_call_body(name, body).encode(), "application/json"


def _encode_call_body(name: str, body: Any) -> str:
    try:
        return encode_json(body)
    except NotSerializable as error:
        raise NotSerializable(f'the body of step "{name}" cannot be stored: {error}') from None
