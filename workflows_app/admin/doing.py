"""What a run is doing, told in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from workflows_app.admin.displays import Tone, ago, badge
from workflows_app.models import FlowControl

_STATES = {
    "at work": gettext_lazy("at work"),
    "running": gettext_lazy("running"),
    "queued": gettext_lazy("queued"),
    "asleep": gettext_lazy("asleep"),
    "waiting": gettext_lazy("waiting"),
    "retrying": gettext_lazy("retrying"),
    "delayed": gettext_lazy("delayed"),
    "pausing": gettext_lazy("pausing"),
    "paused": gettext_lazy("paused"),
    "rolling back": gettext_lazy("rolling back"),
    "succeeded": gettext_lazy("succeeded"),
    "failed": gettext_lazy("failed"),
    "cancelled": gettext_lazy("cancelled"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    state: str
    """One of `_STATES`."""
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
        return badge(str(_STATES[self.state]), self.tone)


def queued(control: FlowControl | None) -> Activity:
    sentence = _("for a free worker")
    if control is not None:
        sentence = _("for a slot of %(key)s") % {"key": control.key}
    return Activity(state="queued", tone=Tone.WAITING, sentence=sentence)


def awaiting_answer(call: str, number: int) -> Activity:
    """Of a call, and of so many in all."""
    sentence = _("for the answer to %(calls)s") % {"calls": and_more(call, number)}
    return Activity(state="waiting", tone=Tone.WAITING, sentence=sentence)


def and_more(first: str, number: int) -> str:
    """As "fetch and 2 more", which are 3."""
    if number < 2:
        return first
    others = ngettext("%(first)s and %(number)d more", "%(first)s and %(number)d more", number - 1)
    return others % {"first": first, "number": number - 1}
