"""How long to wait before a request is sent again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workflows_app.errors import InvalidInput
from workflows_app.protocol.durations import parse_retry_after

_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """At most `retries` repetitions. The pause before each is twice as long as the one before, and
    up to half of it is left to chance, so that many clients do not come back at one moment.
    """

    retries: int = 4
    first: timedelta = timedelta(milliseconds=200)
    longest: timedelta = timedelta(seconds=10)
    """Also of a pause that the server asks for."""

    def __post_init__(self) -> None:
        if self.retries < 0 or self.first < timedelta() or self.longest < timedelta():
            raise InvalidInput("a backoff has 0 retries or more, and pauses of 0 seconds or more")

    def pause(self, number: int, headers: Mapping[str, str]) -> timedelta:
        """Before the repetition of this number, from 1, of what was answered with these headers."""
        asked = headers.get("retry-after")
        wanted = parse_retry_after(asked, datetime.now(UTC)) if asked else None
        if wanted is None:
            usual = self.first * (1 << min(number - 1, _MOST_DOUBLINGS))
            wanted = usual * random.uniform(0.5, 1)  # noqa: S311 - spreads requests, hides nothing
        return min(wanted, self.longest)
