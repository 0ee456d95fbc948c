"""Which headers carry credentials, by the names that are common."""

from __future__ import annotations

import re

CREDENTIALS = (
    "authorization|proxy-authorization|cookie|set-cookie|x-api-key|api-key|apikey|x-auth-token"
)
"""A pattern; a header whose name ends with one of these after a dash is one of them too."""
_NAME = re.compile(rf"(?:[\w-]*-)?(?:{CREDENTIALS})", re.IGNORECASE)


def is_credential(header: str) -> bool:
    return _NAME.fullmatch(header) is not None
