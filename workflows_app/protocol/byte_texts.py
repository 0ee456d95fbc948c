"""Bytes as people are shown them, by as much of their JSON as was read."""

from __future__ import annotations

import base64
import codecs

from workflows_app.protocol.codec import BYTES

_BEGIN, _END = f'{{"{BYTES}":"', '"}'


def begins_as_bytes(text: str) -> bool:
    """Whether it is the JSON of bytes, as far as its begin tells."""
    return text.startswith(_BEGIN)


def is_cut_bytes(text: str) -> bool:
    return begins_as_bytes(text) and not text.endswith(_END)


def size_of_bytes(length: int, end: str) -> int:
    """How many bytes JSON of this length holds that ends so."""
    return (length - len(_BEGIN) - len(_END)) // 4 * 3 - end.count("=")


def preview_of_bytes(text: str) -> str | None:
    """What they say as far as they are known; None if that is no UTF-8."""
    is_cut = is_cut_bytes(text)
    encoded = text.removeprefix(_BEGIN).removesuffix(_END)
    known = base64.b64decode(encoded[: len(encoded) // 4 * 4])
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(known, not is_cut)
    except UnicodeDecodeError:
        return None
