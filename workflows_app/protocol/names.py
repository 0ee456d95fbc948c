"""Names that callers give to things: they become parts of URLs."""

from __future__ import annotations

import re

from workflows_app.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_LONGEST_ID = 255


def check_name(what: str, text: str) -> str:
    """Return the name unchanged, or raise InvalidInput."""
    if not is_name(text):
        raise InvalidInput(
            f'{what} has 1 to 255 letters, digits, ".", "_" and "-", unlike {text!r:.100}'
        )
    return text


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def check_id(what: str, text: str) -> str:
    """The same for ids, which may hold anything that can be printed, but "/"."""
    if not 1 <= len(text) <= _LONGEST_ID or not text.isprintable() or "/" in text:
        raise InvalidInput(
            f'{what} has 1 to {_LONGEST_ID} printable characters without "/", unlike {text!r:.100}'
        )
    return text
