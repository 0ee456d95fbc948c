"""The time of one run, from its start to its end, or to now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows_app.admin.displays import ago, clock_time, span
from workflows_app.engine import clock
from workflows_app.models import Run, Step

SCALE = 1000
"""Width of the timeline in units of its drawing."""
NARROWEST = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A step's place on the run's timeline, in units of SCALE, as SVG writes numbers."""

    x: str
    width: str


class Timeline:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.end = run.ended_at or clock.now()
        self.length = max(self.end - run.created_at, timedelta(microseconds=1))

    def has_begun_at(self, moment: datetime) -> bool:
        """Earlier was the time of the run that this one goes on from."""
        return moment >= self.run.created_at

    def offset(self, moment: datetime) -> str:
        """As "+5 s"; the time of day for what was before the run."""
        offset = moment - self.run.created_at
        return clock_time(moment) if offset < timedelta() else f"+{span(offset)}"

    def took(self, started_at: datetime, ended_at: datetime) -> str:
        return span(min(ended_at, max(self.end, started_at)) - started_at)

    def ends(self, step: Step) -> str:
        """About what goes on beyond now, or was cut short; else empty."""
        ended_at = step.ended_at
        if step.has_ended(self.run, self.end):
            return ""
        if self.run.paused_at is not None and self.run.is_live:
            left = ended_at - max(self.run.paused_at, step.started_at)
            return f"ends {span(left)} after the run is resumed"
        if self.run.is_live:
            return f"ends {ago(ended_at)}, at {clock_time(ended_at)}"
        return f"was to end at {clock_time(ended_at)}"

    def bar(self, started_at: datetime, ended_at: datetime) -> Bar | None:
        if not self.has_begun_at(started_at):
            return None
        x = self._place(started_at)
        width = max(self._place(ended_at) - x, NARROWEST)
        return Bar(x=f"{min(x, SCALE - width):.1f}", width=f"{width:.1f}")

    def _place(self, moment: datetime) -> float:
        part = (moment - self.run.created_at) / self.length
        return min(max(part, 0.0), 1.0) * SCALE
