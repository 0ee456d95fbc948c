"""What a run is doing, told in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from workflows_app.admin.displays import Tone, ago, badge


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    state: str
    tone: Tone
    sentence: str = ""
    next: str = ""
    """What happens at `until`, as "wakes"."""
    until: datetime | None = None
    """When it goes on by itself."""

    @property
    def countdown(self) -> str:
        """As "wakes in 3 min"; empty when it does not wait for time."""
        return f"{self.next} {ago(self.until)}" if self.until else ""

    @property
    def badge(self) -> SafeString:
        return badge(self.state, self.tone)
