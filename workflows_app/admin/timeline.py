"""The time of one run, from its start to its end, or to now."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from workflows_app.admin.displays import ago, clock_time, span
from workflows_app.engine import clock
from workflows_app.models import Run, Step


class Timeline:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.end = run.ended_at or clock.now()

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
            return _("ends %(left)s after the run is resumed") % {"left": span(left)}
        if self.run.is_live:
            return _("ends %(distance)s, at %(time)s") % {
                "distance": ago(ended_at),
                "time": clock_time(ended_at),
            }
        return _("was to end at %(time)s") % {"time": clock_time(ended_at)}
