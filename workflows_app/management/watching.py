"""Looking at a run until it has ended."""

from __future__ import annotations

from collections.abc import Callable

from workflows_app.engine import clock
from workflows_app.models import Run, Step


class RunWatch:
    """Looks now and then; tells of each step once it has finished, in the order of the journal."""

    def __init__(self, run: Run, tell: Callable[[Step], None]) -> None:
        self._run = run
        self._tell = tell
        self._told = 0

    def look(self) -> bool:
        """Whether the run has ended, and all its steps have been told."""
        self._run.refresh_from_db()  # first: what it recorded until then is there afterwards
        now = clock.now()
        for step in Step.objects.filter(run=self._run, id__gt=self._told).order_by("id"):
            if step.ended_at > now:  # a sleep, recorded as it begins
                break
            self._tell(step)
            self._told = step.id
        return not self._run.is_live
