"""When a failed attempt is made again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from workflows_app.errors import InvalidInput
from workflows_app.protocol.expressions import parse_expression

_compiled = lru_cache(maxsize=256)(parse_expression)

_DEFAULT_DELAYS = tuple(
    timedelta(seconds=min(86_400, math.floor(math.exp(2.5 * retry)))) for retry in range(1, 6)
)
"""Upstash reference 5.1: min(86400, e^(2.5 n)) s before the n-th retry, at most a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often something is retried after its first attempt, and how long each retry waits.

    `delay_expression` gives milliseconds over `retried`, the retries made so far, see
    `protocol.expressions`; empty means 12 s, 148 s, 30 min 8 s, 6 h 7 min 6 s and a day from then
    on. Raises InvalidExpression or InvalidInput.
    """

    retries: int = 3
    delay_expression: str = ""

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise InvalidInput(
                f"retries is {self.retries}; it must be 0 (one attempt only) or more."
            )
        if self.delay_expression:
            _compiled(self.delay_expression)

    def delay_after(self, failures: int) -> timedelta | None:
        """The wait after `failures` failed attempts (1 or more); None when no retries are left."""
        if failures > self.retries:
            return None
        if self.delay_expression:
            return timedelta(
                milliseconds=_compiled(self.delay_expression).milliseconds(failures - 1)
            )
        return _DEFAULT_DELAYS[min(failures, len(_DEFAULT_DELAYS)) - 1]
