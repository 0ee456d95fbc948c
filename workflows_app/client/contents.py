"""Payloads and event data as they are sent."""

from __future__ import annotations

from typing import Any

from workflows_app.errors import NotSerializable
from workflows_app.protocol.codec import encode_json


def encode_content(what: str, value: Any) -> tuple[bytes, str]:
    """The bytes and their content type: bytes as they are, None as nothing, all else as JSON.

    Raises NotSerializable.
    """
    if isinstance(value, bytes):
        return value, "application/octet-stream"
    if value is None:
        return b"", "application/json"
    try:
        return encode_json(value).encode(), "application/json"
    except NotSerializable as error:
        raise NotSerializable(f"{what} cannot be sent: {error.message}") from None
