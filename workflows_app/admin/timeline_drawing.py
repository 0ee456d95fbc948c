"""The timeline of a run as it is drawn: rows, bars in percent of the width, ticks and links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.admin.asked import Asked
from workflows_app.admin.displays import clock_time, span
from workflows_app.admin.timeline_groups import Row, merged, rows_of
from workflows_app.admin.timeline_tracks import (
    Doing,
    Stretch,
    Track,
    add_queues,
    in_order,
)
from workflows_app.admin.timeline_window import Tick, Window, window_of
from workflows_app.engine import clock
from workflows_app.models import Run

ROW, AXIS = 22, 24
"""Heights in pixels; the stylesheet has them too, for the names beside the drawing."""
NARROWEST = 0.3
"""Percent of the width: a bar that is shorter is drawn as wide."""
MOST_MARKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: str
    width: str
    style: str
    """A CSS class: queued, running, waiting, failed, child."""
    title: str
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRow:
    name: str
    details: str
    """Where the step, or the run, is told of."""
    count: int
    branch: str
    depth: int
    y: int
    took: str
    bars: Sequence[Bar]
    marks: Sequence[str]
    """Where attempts failed."""
    zoom: str
    group: int = 0
    toggle: str = ""
    """What opens or closes the group; empty for a step alone."""
    is_open: bool = False
    has_failed: bool = False
    is_child: bool = False

    @property
    def text_y(self) -> int:
        return self.y + ROW - 7

    @property
    def bar_y(self) -> int:
        return self.y + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    rows: Sequence[DrawnRow]
    ticks: Sequence[Tick]
    height: int
    summary: str
    """The drawing in words."""
    shown: str
    """Which part of the run's time; empty for all of it."""
    kept: int
    """Steps that were taken over from another run, and are not drawn."""
    zoom_in: str
    zoom_out: str
    earlier: str
    later: str
    fit: str


def draw(
    run: Run, tracks: Sequence[Track], kept: int, asked: Asked, details_of: Callable[[int], str]
) -> Drawing:
    """`details_of` says where a step is told of."""
    last = run.ended_at or clock.now()
    add_queues(tracks, run.created_at, last)
    window = window_of(run, last, asked.zoom)
    seen = [track for track in in_order(tracks) if window.shows(track.begin, track.end)]
    drawer = _Drawer(window, last, asked, details_of)
    rows = list(drawer.rows(rows_of(seen, asked.opened)))
    return Drawing(
        rows=rows,
        ticks=list(window.ticks()),
        height=AXIS + ROW * len(rows),
        summary=_summary(tracks, last - run.created_at),
        shown="" if window.is_whole else _shown(window),
        kept=kept,
        zoom_in=asked.to(zoom=window.zoomed_in()),
        zoom_out="" if window.is_whole else asked.to(zoom=window.zoomed_out()),
        earlier=asked.to(zoom=window.earlier()) if window.begin > window.start else "",
        later=asked.to(zoom=window.later()) if window.end < window.last else "",
        fit="" if window.is_whole else asked.to(zoom=""),
    )


def _summary(tracks: Sequence[Track], lasted: timedelta) -> str:
    steps = ngettext("%(count)d step", "%(count)d steps", len(tracks)) % {"count": len(tracks)}
    return _("%(steps)s in %(length)s. The bars show what the table of steps tells.") % {
        "steps": steps,
        "length": span(lasted),
    }


def _shown(window: Window) -> str:
    if window.begin == window.start:
        return _("the first %(length)s") % {"length": span(window.length)}
    return _("%(length)s, from %(offset)s after the start, at %(time)s") % {
        "length": span(window.length),
        "offset": span(window.begin - window.start),
        "time": clock_time(window.begin),
    }


class _Drawer:
    def __init__(
        self, window: Window, last: datetime, asked: Asked, details_of: Callable[[int], str]
    ) -> None:
        self.window = window
        self.last = last
        self.asked = asked
        self.details_of = details_of

    def rows(self, rows: Sequence[Row]) -> Iterator[DrawnRow]:
        y = AXIS
        for row in rows:
            yield self._row(row, y)
            y += ROW
            child = row.tracks[0].child if len(row.tracks) == 1 else None
            if child is not None:
                yield self._child(child, row.tracks[0], y)
                y += ROW

    def _row(self, row: Row, y: int) -> DrawnRow:
        first, count = row.tracks[0], len(row.tracks)
        begin, end = _begun(row.tracks), max(track.end for track in row.tracks)
        return DrawnRow(
            name=row.name,
            details=self.details_of(first.pk) if first.pk else "",
            count=count,
            branch=first.branch if count == 1 else "",
            depth=min(first.depth + (row.group > 0 and count == 1), 3),
            y=y,
            took=span(end - begin),
            bars=list(self._bars(row)),
            marks=self._marks(row),
            zoom=self.asked.to(zoom=self.window.around(begin, end)),
            group=row.group,
            toggle=self._toggle(row.group) if count > 1 else "",
            is_open=row.group in self.asked.opened,
            has_failed=any(track.has_failed for track in row.tracks),
        )

    def _toggle(self, group: int) -> str:
        opened = self.asked.opened
        others = [each for each in opened if each != group]
        return self.asked.to(open=others if group in opened else [*others, group])

    def _bars(self, row: Row) -> Iterator[Bar]:
        least = self.window.length * (NARROWEST / 100)
        for stretch in merged(row.tracks, least):
            if not self.window.shows(stretch.begin, stretch.end):
                continue
            if stretch.doing is Doing.QUEUED and stretch.end - stretch.begin < least:
                continue
            style = "failed" if stretch.has_failed else stretch.doing.value
            title = f"{row.name}: {_told(stretch)}"
            yield self._bar(stretch.begin, stretch.end, style, title, goes_on=stretch.goes_on)

    def _child(self, child: Run, track: Track, y: int) -> DrawnRow:
        end = child.ended_at or max(self.last, child.created_at)
        name = child.workflow or child.url
        state = child.get_status_display().lower()
        title = f"{name} {child.run_id}: {state}, {span(end - child.created_at)}"
        goes_on = child.is_live
        bars = [self._bar(child.created_at, end, "child", title, goes_on=goes_on)]
        return DrawnRow(
            name=name,
            details=reverse("admin:workflows_app_run_change", args=[child.pk]),
            count=1,
            branch="",
            depth=min(track.depth + 1, 3),
            y=y,
            took=span(end - child.created_at),
            bars=bars if self.window.shows(child.created_at, end) else [],
            marks=[],
            zoom=self.asked.to(zoom=self.window.around(child.created_at, end)),
            has_failed=child.status == Run.Status.FAILED,
            is_child=True,
        )

    def _bar(self, begin: datetime, end: datetime, style: str, title: str, *, goes_on: bool) -> Bar:
        x = self.window.place(begin)
        width = max(self.window.place(end) - x, NARROWEST)
        x = min(x, 100 - width)
        return Bar(x=f"{x:.3f}%", width=f"{width:.3f}%", style=style, title=title, goes_on=goes_on)

    def _marks(self, row: Row) -> list[str]:
        """Those that would lie on each other are one."""
        places = (
            round(self.window.place(moment), 1)
            for track in row.tracks
            for moment in track.failures
            if self.window.shows(moment, moment)
        )
        return [f"{min(place, 99.2):.1f}%" for place in sorted(set(places))[:MOST_MARKS]]


def _begun(tracks: Sequence[Track]) -> datetime:
    """When the first of them had left the queue."""
    stretches = [each for track in tracks for each in track.stretches]
    begun = (each.begin for each in stretches if each.doing is not Doing.QUEUED)
    return min(begun, default=stretches[0].begin)


def _told(stretch: Stretch) -> str:
    length = span(stretch.end - stretch.begin)
    words = {
        Doing.QUEUED: _("queued for %(length)s"),
        Doing.WAITING: _("waiting for %(length)s"),
        Doing.RUNNING: _("running for %(length)s"),
    }
    if stretch.has_failed:
        return _("attempt failed after %(length)s") % {"length": length}
    told = words[stretch.doing] % {"length": length}
    return _("%(told)s so far") % {"told": told} if stretch.goes_on else told
