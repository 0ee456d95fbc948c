"""What the steps of a run spent its time on: running, waiting, or queued."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from workflows_app.models import Run

LEAST_QUEUE = timedelta(milliseconds=1)
"""A shorter time between steps is that of the code between them."""


class Doing(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    doing: Doing
    begin: datetime
    end: datetime
    has_failed: bool = False
    """Of an attempt."""
    goes_on: bool = False


@dataclass(slots=True, kw_only=True)
class Track:
    """The time of one step, or of what else a run does."""

    name: str
    key: str = ""
    pk: int = 0
    """Of the step; 0 for what has no entry in the journal yet."""
    branch: str = ""
    stretches: list[Stretch]
    failures: list[datetime] = field(default_factory=list)
    """When attempts failed."""
    has_failed: bool = False
    is_canceled: bool = False
    child: Run | None = None

    @property
    def begin(self) -> datetime:
        return min(stretch.begin for stretch in self.stretches)

    @property
    def end(self) -> datetime:
        return max(stretch.end for stretch in self.stretches)

    @property
    def depth(self) -> int:
        return self.branch.count(".") + 1 if self.branch else 0


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt that did not succeed."""

    outcome: str
    begin: datetime
    end: datetime
    retry_at: datetime | None


def tried(tries: Sequence[Try], until: datetime | None) -> list[Stretch]:
    """The failed attempts of a step and the time between them; `until` is when the one that
    followed them began, if any has.
    """
    found: list[Stretch] = []
    for index, each in enumerate(tries):
        found.append(Stretch(doing=Doing.RUNNING, begin=each.begin, end=each.end, has_failed=True))
        coming = tries[index + 1].begin if index + 1 < len(tries) else until
        if coming is not None:
            found += between(each, coming)
    return found


def between(last: Try, coming: datetime) -> list[Stretch]:
    """From an attempt to the next: its delay, and then, until a worker is free, a queue."""
    due = min(last.retry_at or last.end, coming)
    found = []
    if due > last.end:
        found.append(Stretch(doing=Doing.WAITING, begin=last.end, end=due))
    if coming > due:
        found.append(Stretch(doing=Doing.QUEUED, begin=max(due, last.end), end=coming))
    return found


def cut(track: Track, end: datetime, *, is_live: bool) -> Track:
    """Without what lies beyond the end of its run, or beyond now."""
    track.stretches = [
        each
        if each.end <= end
        else replace(each, end=max(end, each.begin), goes_on=is_live or each.goes_on)
        for each in track.stretches
    ]
    return track


def add_queues(tracks: Iterable[Track], begin: datetime, end: datetime) -> None:
    """Where nothing ran or waited, the step that came next was queued. What came after the last
    step stays empty.
    """
    found = [(stretch.begin, stretch.end, track) for track in tracks for stretch in track.stretches]
    cursor = begin
    for at, until, track in sorted(found, key=lambda each: each[:2]):
        if at - cursor >= LEAST_QUEUE and at <= end:
            track.stretches.append(Stretch(doing=Doing.QUEUED, begin=cursor, end=at))
        cursor = max(cursor, until)


def in_order(tracks: Iterable[Track]) -> list[Track]:
    """As they began; where branches stand side by side, branch after branch."""
    found: list[Track] = []
    side_by_side: list[Track] = []
    for track in sorted(tracks, key=lambda each: each.begin):
        if track.branch:
            side_by_side.append(track)
            continue
        found += sorted(side_by_side, key=_branch)
        side_by_side = []
        found.append(track)
    return found + sorted(side_by_side, key=_branch)


def _branch(track: Track) -> tuple[int, ...]:
    return tuple(int(part) for part in track.branch.split(".") if part.isdecimal())
