"""How an author says what retries wait: an expression, or a duration and how it grows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Literal, get_args

from workflows_app.errors import InvalidInput
from workflows_app.protocol.durations import author_duration
from workflows_app.protocol.expressions import LONGEST_DELAY, parse_expression

Backoff = Literal["constant", "linear", "exponential"]
"""How the delay before the first retry grows: not at all, by itself each time, or twofold."""

_GROWTH: dict[Backoff, str] = {
    "constant": "{base}",
    "linear": "{base} * (retried + 1)",
    "exponential": "{base} * pow(2, retried)",
}
_GROWN: dict[Backoff, re.Pattern[str]] = {
    backoff: re.compile(re.escape(form).replace(r"\{base\}", r"([0-9]+(?:\.[0-9]+)?)"))
    for backoff, form in _GROWTH.items()
}
_LOOKS_LIKE_A_DURATION = re.compile(r"\s*[0-9.]+[a-zµμ]+([0-9.]+[a-zµμ]+)*\s*")
_LONGEST = timedelta(milliseconds=LONGEST_DELAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDelay:
    """`expression` is what counts; `base` is None where an author wrote it himself, and else grows
    by `backoff`.
    """

    expression: str
    base: timedelta | None = None
    backoff: Backoff = "constant"


def retry_delay(
    before: RetryDelay | None, delay: timedelta | str | None, backoff: Backoff | None
) -> RetryDelay | None:
    """What is waited now, where `before` was said first; what is None was not said again.

    Raises InvalidInput, InvalidExpression or InvalidDuration.
    """
    if backoff is None:
        return before if delay is None else _read(delay, "constant")
    if backoff not in get_args(Backoff):
        raise InvalidInput(f'backoff is "constant", "linear" or "exponential", not {backoff!r:.80}')
    read = before if delay is None else _read(delay, backoff)
    if read is None or read.base is None:
        raise InvalidInput(_needs_a_base(backoff, None if read is None else read.expression))
    return _growing(read.base, backoff)


@lru_cache(maxsize=256)
def read_expression(expression: str) -> RetryDelay:
    """What such an expression was made of, where it was made of a duration and how that grows."""
    for backoff, form in _GROWN.items():
        if match := form.fullmatch(expression):
            base = timedelta(milliseconds=float(match[1]))
            return RetryDelay(expression=expression, base=base, backoff=backoff)
    return RetryDelay(expression=expression)


def delay_expression(delay: timedelta | str | None, backoff: Backoff | None = None) -> str | None:
    """The same, as an expression over `retried`."""
    read = retry_delay(None, delay, backoff)
    return None if read is None else read.expression


def _read(delay: timedelta | str, backoff: Backoff) -> RetryDelay:
    if isinstance(delay, str) and not _LOOKS_LIKE_A_DURATION.fullmatch(delay):
        if delay:
            parse_expression(delay)
        return RetryDelay(expression=delay)
    return _growing(author_duration(delay), backoff)


def _growing(base: timedelta, backoff: Backoff) -> RetryDelay:
    if base > _LONGEST:
        raise InvalidInput(f"a retry waits for a day at most; retry_delay is {base}")
    milliseconds = f"{base / timedelta(milliseconds=1):f}".rstrip("0").rstrip(".")
    expression = _GROWTH[backoff].format(base=milliseconds)
    return RetryDelay(expression=expression, base=base, backoff=backoff)


def _needs_a_base(backoff: str, expression: str | None) -> str:
    said = "there is none" if not expression else f'"{expression}" is an expression'
    return (
        f'backoff="{backoff}" says how retry_delay grows, and {said}: give the first delay as a '
        'duration, such as retry_delay="10s", or leave backoff out'
    )
