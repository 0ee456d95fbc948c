"""Up to where the story of runs has been told, and how to go on from there."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import unix_milliseconds

LATE = timedelta(seconds=5)
"""How much later than its neighbours a row may become visible, as transactions end in another
order than that in which their rows were numbered.
"""
MOST_KEPT = 100
"""Rows of each kind that a written cursor names. With more, some may be told again."""
_LARGEST = (1 << 63) - 1
_FIRST = datetime.fromtimestamp(0, UTC)


@dataclass
class Track:
    """The rows of one table, told in the order of their numbers: all up to `floor`, and above it
    those in `told`.
    """

    floor: int = 0
    told: set[int] = field(default_factory=set)
    _seen: deque[tuple[datetime, int]] = field(default_factory=deque)

    def settle(self, now: datetime, newest: int, late: timedelta) -> None:
        """All rows up to `newest` that were visible by `now` have been told."""
        if newest > self.floor:
            self._seen.append((now, newest))
        while self._seen and self._seen[0][0] + late <= now:
            self.floor = max(self.floor, self._seen.popleft()[1])
        self.told = {number for number in self.told if number > self.floor}

    def encode(self) -> list[int]:
        told = sorted(self.told) if len(self.told) <= MOST_KEPT else []
        return [self.floor, *(number - self.floor for number in told)]

    @classmethod
    def decode(cls, numbers: Any) -> Track:
        floor, *told = _numbers(numbers)
        return cls(floor=floor, told={floor + number for number in told})


@dataclass
class Cursor:
    """A position. The sets hold primary keys: of runs, or, where they are asleep, of steps."""

    since: datetime
    """Runs that ended before are told of, if not later than `LATE`."""
    run: Track = field(default_factory=Track)
    step: Track = field(default_factory=Track)
    attempt: Track = field(default_factory=Track)
    waiter: Track = field(default_factory=Track)
    ended: set[int] = field(default_factory=set)
    """Runs whose end has been told, of those that ended since or shortly before."""
    unstarted: set[int] = field(default_factory=set)
    paused: set[int] = field(default_factory=set)
    asleep: set[int] = field(default_factory=set)
    is_over: bool = False
    """Of a single run: whether its end has been told."""

    def encode(self) -> str:
        tracks = [each.encode() for each in (self.run, self.step, self.attempt, self.waiter)]
        sets = (self.ended, self.unstarted, self.paused, self.asleep)
        kept = [sorted(each)[-MOST_KEPT:] for each in sets]
        moment = unix_milliseconds(self.since)
        text = encode_json([int(self.is_over), moment, *tracks, *kept])
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises InvalidInput."""
        try:
            is_over, moment, *lists = decode_json(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            since = max(datetime.fromtimestamp(moment / 1000, UTC), _FIRST)
            tracks, sets = lists[:4], lists[4:]
            run, step, attempt, waiter = map(Track.decode, tracks)
            ended, unstarted, paused, asleep = (set(_numbers(each)) for each in sets)
        except (ValueError, TypeError, OverflowError, OSError, NoBase64, InvalidInput):
            raise InvalidInput(
                "Last-Event-ID is none of this server; send that of the last event, or none"
            ) from None
        return cls(
            since=since,
            run=run,
            step=step,
            attempt=attempt,
            waiter=waiter,
            ended=ended,
            unstarted=unstarted,
            paused=paused,
            asleep=asleep,
            is_over=bool(is_over),
        )


def _numbers(value: Any) -> list[int]:
    """Raises ValueError."""
    is_list = isinstance(value, list) and len(value) <= MOST_KEPT + 1
    if not is_list or not all(type(each) is int and 0 <= each <= _LARGEST for each in value):
        raise ValueError("as many numbers as a cursor keeps are needed")
    numbers: list[int] = value
    return numbers
