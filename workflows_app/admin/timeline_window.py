"""Which part of a run's time is drawn, the ticks of its axis, and what leads to other parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows_app.admin.displays import span
from workflows_app.models import Run

MOST_TICKS = 6
LAST = 96.0
"""Percent of the width from which on the label of a tick stands before it."""
SHORTEST = timedelta(microseconds=10)

_SECONDS, _MINUTES, _HOURS = (1, 2, 5, 10, 15, 30), (60, 120, 300, 600, 900, 1800), 3600
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(digit * 10**power for power in range(-6, 0) for digit in (1, 2, 5)),
        *_SECONDS,
        *_MINUTES,
        *(hours * _HOURS for hours in (1, 2, 3, 6, 12)),
        *(days * 24 * _HOURS for days in (1, 2, 7, 14, 30, 90, 180, 365)),
    )
)


@dataclass(frozen=True, slots=True)
class Tick:
    x: str
    label: str
    is_last: bool
    """At the right border."""


@dataclass(frozen=True, slots=True)
class Window:
    """From one moment to another, the first not before the run began."""

    start: datetime
    begin: datetime
    end: datetime
    last: datetime
    """When the run ended, or now."""

    @property
    def length(self) -> timedelta:
        return self.end - self.begin

    @property
    def is_whole(self) -> bool:
        return self.begin == self.start and self.end == self.last

    def place(self, moment: datetime) -> float:
        """In percent of the width."""
        return min(max((moment - self.begin) / self.length, 0.0), 1.0) * 100

    def shows(self, begin: datetime, end: datetime) -> bool:
        return begin <= self.end and end >= self.begin

    def ticks(self) -> Iterator[Tick]:
        step = next((each for each in _STEPS if self.length / each <= MOST_TICKS), _STEPS[-1])
        for number in range(min(int(self.length / step), MOST_TICKS * 4) + 1):
            offset = step * number
            place = offset / self.length * 100
            yield Tick(f"{place:.3f}%", span(offset) if number else "0", place > LAST)

    # -- other parts

    def zoomed_in(self) -> str:
        return self._part(self.begin + self.length / 4, self.end - self.length / 4)

    def zoomed_out(self) -> str:
        return self._part(self.begin - self.length / 2, self.end + self.length / 2)

    def earlier(self) -> str:
        moved = min(self.length / 2, self.begin - self.start)
        return self._part(self.begin - moved, self.end - moved)

    def later(self) -> str:
        moved = min(self.length / 2, self.last - self.end)
        return self._part(self.begin + moved, self.end + moved)

    def around(self, begin: datetime, end: datetime) -> str:
        """With a little room on both sides."""
        room = max((end - begin) / 10, SHORTEST / 2)
        return self._part(begin - room, end + room)

    def _part(self, begin: datetime, end: datetime) -> str:
        """As `zoom` in an address has it: seconds since the start; empty for the whole."""
        first, last = max(begin, self.start), min(end, self.last)
        if first <= self.start and last >= self.last:
            return ""
        return f"{_seconds(first - self.start)}-{_seconds(last - self.start)}"


def window_of(run: Run, last: datetime, asked: str) -> Window:
    """What was asked for as `zoom`; all of it if that is no part of the run's time."""
    start = run.created_at
    last = max(last, start + SHORTEST)
    number = r"([0-9]{1,10}(?:\.[0-9]{1,6})?)"
    match = re.fullmatch(f"{number}-{number}", asked)
    if match is not None:
        begin, end = (start + timedelta(seconds=float(text)) for text in match.groups())
        begin, end = max(begin, start), min(end, last)
        if end - begin >= SHORTEST:
            return Window(start, begin, end, last)
    return Window(start, start, last, last)


def _seconds(offset: timedelta) -> str:
    return f"{offset.total_seconds():.6f}".rstrip("0").rstrip(".")
