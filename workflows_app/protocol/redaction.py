"""What is shown only as a hash of itself, by people's own wish (Upstash reference 5.8).

It holds for everything that people or programs look at. What is delivered is never redacted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from workflows_app.protocol.credentials import is_credential
from workflows_app.protocol.exchange import canonical_header
from workflows_app.protocol.header_values import Redaction, parse_redaction

MARK = "REDACTED:"
_HASH = re.compile(rf"{MARK}[0-9a-f]{{64}}")


class Redacted(str):
    """A hash that stands for a value. It is not hashed again."""

    __slots__ = ()


SENSITIVE = Redacted("[REDACTED]")
"""Stands for what is never shown: not even as a hash, from which a short value could be guessed."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Shows the values of one run, or of one plain message."""

    redaction: Redaction

    @property
    def hides_anything(self) -> bool:
        return self.redaction != Redaction()

    @property
    def hides_bodies(self) -> bool:
        return self.redaction.body

    def body(self, text: str) -> str:
        """A payload, a result, the body of a request or of an answer; an empty one stays."""
        return _redacted_text(text) if self.redaction.body and text else text

    def content(self, content: bytes) -> str | None:
        """A hash, or None where nothing is to be hidden; of bytes that need not be a text."""
        return redacted(content) if self.redaction.body and content else None

    def headers(self, headers: Mapping[str, list[str]]) -> dict[str, list[str]]:
        return {
            name: list(map(_redacted_text, values)) if self.hides_header(name) else values
            for name, values in headers.items()
        }

    def header_texts(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The same for headers with one value each."""
        return {
            name: _redacted_text(value) if self.hides_header(name) else value
            for name, value in headers.items()
        }

    def hides_header(self, name: str) -> bool:
        return self.redaction.all_headers or canonical_header(name) in self.redaction.headers


def without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request as they are stored once it is answered, and shown: credentials are
    hashes, though nobody asked for it.
    """
    return {
        name: _hidden(value) if is_credential(name) else value for name, value in headers.items()
    }


def _hidden(credential: str) -> Redacted:
    stored = _HASH.fullmatch(credential) is not None
    return Redacted(credential) if stored else _redacted_text(credential)


def redacted(content: bytes) -> Redacted:
    return Redacted(f"{MARK}{sha256(content).hexdigest()}")


def _redacted_text(value: str) -> Redacted:
    if isinstance(value, Redacted):
        return value
    return redacted(value.encode(errors="surrogatepass"))


@lru_cache(maxsize=256)
def redactor_of(text: str) -> Redactor:
    """For what `Redaction.encode` wrote; an empty text hides nothing."""
    return Redactor(parse_redaction(text))
