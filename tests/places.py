"""Lines of code that errors name."""

from __future__ import annotations

import re

_PLACE = re.compile(r", at \S+:\d+")


def without_places(message: str) -> str:
    """An error's message without the lines of code that it names."""
    return _PLACE.sub("", message)
