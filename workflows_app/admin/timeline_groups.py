"""The rows of a timeline: a step each, or many that are alike, so that a long run can be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from workflows_app.admin.timeline_tracks import Doing, Stretch, Track

FEW = 40
"""Up to so many steps each has a row of its own."""
LEAST_ALIKE = 4
LONGEST_LOOP = 6
"""Steps of a loop that is seen to be one."""
MOST_ROWS = 150
MOST_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    tracks: Sequence[Track]
    """More than one where steps are grouped."""
    group: int = 0
    """Names the group, also for the steps that are shown because it is open; 0 for none."""

    @property
    def name(self) -> str:
        names = list(dict.fromkeys(track.name for track in self.tracks))
        if len(names) <= MOST_NAMES:
            return ", ".join(names)
        return f"{names[0]} … {self.tracks[-1].name}"


def rows_of(tracks: Sequence[Track], opened: Collection[int]) -> list[Row]:
    """Of tracks in their order. The groups in `opened` are shown step by step."""
    if len(tracks) <= FEW:
        return [Row(tracks=[each]) for each in tracks]
    groups = list(_alike(tracks))
    if len(groups) > MOST_ROWS:
        size = -(-len(tracks) // MOST_ROWS)
        groups = [tracks[start : start + size] for start in range(0, len(tracks), size)]
    return [row for group in groups for row in _rows(group, opened)]


def _rows(tracks: Sequence[Track], opened: Collection[int]) -> Iterator[Row]:
    if len(tracks) == 1:
        yield Row(tracks=tracks)
        return
    group = tracks[0].pk
    yield Row(tracks=tracks, group=group)
    if group in opened:
        yield from (Row(tracks=[each], group=group) for each in tracks)


def _alike(tracks: Sequence[Track]) -> Iterator[Sequence[Track]]:
    """Steps of one kind after each other, or those of a loop, together; all others alone."""
    words = [_likeness(track) for track in tracks]
    start = 0
    while start < len(tracks):
        number = max(_repeated(words, start, period) for period in range(1, LONGEST_LOOP + 1))
        yield tracks[start : start + number]
        start += number


def _repeated(words: Sequence[object], start: int, period: int) -> int:
    """How many words from here on are each that of so many before; 1 if they are too few."""
    end = start + period
    while end < len(words) and words[end] == words[end - period]:
        end += 1
    return end - start if end - start >= max(LEAST_ALIKE, 3 * period) else 1


def _likeness(track: Track) -> object:
    """Steps of a loop are often numbered. What went wrong is not to be buried among others."""
    own = id(track) if track.has_failed or not track.pk else 0
    return (re.sub(r"\d+", "0", track.name), track.depth, own)


def merged(tracks: Sequence[Track], least: timedelta) -> list[Stretch]:
    """The stretches of a row. In a group, those that are less than `least` apart are one, and
    failed attempts are marks alone.
    """
    every = [stretch for track in tracks for stretch in track.stretches]
    if len(tracks) == 1:
        return every
    return [
        each
        for doing in Doing
        for each in _joined((stretch for stretch in every if stretch.doing is doing), least)
    ]


def _joined(stretches: Iterable[Stretch], least: timedelta) -> Iterator[Stretch]:
    last: Stretch | None = None
    for each in sorted(stretches, key=lambda stretch: stretch.begin):
        if last is None:
            last = replace(each, has_failed=False)
        elif each.begin - last.end <= least:
            last = replace(last, end=max(last.end, each.end), goes_on=last.goes_on or each.goes_on)
        else:
            yield last
            last = replace(each, has_failed=False)
    if last is not None:
        yield last
