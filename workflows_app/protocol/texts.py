"""Texts that become columns of their own."""

from __future__ import annotations

import re

from workflows_app.errors import InvalidInput

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_storable(what: str, text: str) -> None:
    """Raises InvalidInput for NUL, which PostgreSQL cannot hold, and for half a surrogate pair,
    which no database can.
    """
    if _UNSTORABLE.search(text):
        raise InvalidInput(f"{what} must not contain NUL or half a surrogate pair: {text!r:.80}")


def storable(text: str) -> str:
    """The text without what cannot be stored, where it is only for people to read."""
    return _UNSTORABLE.sub("", text)
