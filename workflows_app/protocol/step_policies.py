"""The policy of one step, as the journal keeps it beside the step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.delays import Backoff, read_expression

DYNAMIC = "[dynamic]"
"""What stands for a delay that a function, or an expression, gives."""
LONGEST_WAIT = timedelta(days=365)
_MILLISECOND = timedelta(milliseconds=1)
_DOUBLINGS = 60
"""More than any delay needs to come to the longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """How often a step is retried after its first attempt, after which delay, and how long each
    attempt may take. `delay` is None where code says it anew each time.
    """

    retries: int
    delay: timedelta | None
    backoff: Backoff = "exponential"
    timeout: timedelta | None = None
    hides_output: bool = False

    @classmethod
    def of(cls, retries: int, retry_delay: str, timeout: timedelta | None) -> StepPolicy:
        """What people are to see of the policy of a run, or of a step by which it differs."""
        delay = read_expression(retry_delay)
        return cls(retries=retries, delay=delay.base, backoff=delay.backoff, timeout=timeout)

    def delay_after(self, failures: int) -> timedelta | None:
        """The wait after `failures` failed attempts (1 or more); None when no retries are left."""
        if failures > self.retries:
            return None
        growth = {
            "constant": 1,
            "linear": failures,
            "exponential": 1 << min(failures - 1, _DOUBLINGS),
        }
        first = (self.delay or timedelta()) / _MILLISECOND
        longest = LONGEST_WAIT / _MILLISECOND
        return _MILLISECOND * min(first * growth[self.backoff], longest)

    def as_json(self) -> dict[str, Any]:
        """Times are in milliseconds."""
        said: dict[str, Any] = {
            "retries": {
                "limit": self.retries,
                "delay": DYNAMIC if self.delay is None else _milliseconds(self.delay),
                "backoff": self.backoff,
            }
        }
        if self.timeout is not None:
            said["timeout"] = _milliseconds(self.timeout)
        if self.hides_output:
            said["sensitive"] = "output"
        return said

    def encode(self) -> str:
        return encode_json(self.as_json())

    @classmethod
    def decode(cls, text: str) -> StepPolicy:
        """Of what `encode` has made."""
        said = decode_json(text)
        retries, delay, timeout = said["retries"], said["retries"]["delay"], said.get("timeout")
        return cls(
            retries=retries["limit"],
            delay=None if delay == DYNAMIC else _MILLISECOND * delay,
            backoff=retries["backoff"],
            timeout=None if timeout is None else _MILLISECOND * timeout,
            hides_output="sensitive" in said,
        )


def _milliseconds(duration: timedelta) -> float:
    count = duration / _MILLISECOND
    return int(count) if count.is_integer() else count
