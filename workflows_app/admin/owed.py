"""Messages as people ask about them: what is owed, when it is delivered next, who has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin.displays import ago, span
from workflows_app.engine import clock
from workflows_app.models import Message, Run

MOST_OWED = 50

_KINDS: dict[str, Any] = {
    Message.Kind.TURN: _lazy("go on with the function"),
    Message.Kind.CALL: _lazy("send an HTTP call"),
    Message.Kind.FAILURE: _lazy("make the failure callback"),
    Message.Kind.DELIVERY: _lazy("deliver to the endpoint"),
    Message.Kind.TIMEOUT: _lazy("stop waiting for an event"),
    Message.Kind.REPORT: _lazy("tell how an invoked run ended"),
    Message.Kind.PUBLICATION: _lazy("deliver a plain message"),
    Message.Kind.SCHEDULE: _lazy("publish, or start a run, by schedule"),
    Message.Kind.TERMINATION: _lazy("cancel the runs of a workflow"),
    Message.Kind.PRUNING: _lazy("delete what ended long ago"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A message, as people ask about it."""

    kind: str
    step: str
    due: str
    lease: str
    claims: int


def read_owed(run: Run) -> list[Owed]:
    """What is owed to the run, at most `MOST_OWED`, oldest first."""
    messages = run.messages.defer("request").order_by("id")
    return [_owed(message) for message in messages[:MOST_OWED]]


def _owed(message: Message) -> Owed:
    return Owed(
        kind=str(_KINDS[message.kind]),
        step=message.key,
        due=due(message, clock.now()),
        lease=lease(message, clock.now()),
        claims=message.claims,
    )


def due(message: Message, now: datetime) -> str:
    """When the message is delivered next."""
    if message.due_at is None:
        return _parked(message.parked_for)
    if message.token is not None and message.due_at > now:
        return _("being delivered")
    if message.due_at > now:
        return ago(message.due_at)
    return _("now, for %(time)s") % {"time": span(now - message.due_at)}


def _parked(left: timedelta | None) -> str:
    if left is None:
        return _("when it is woken")
    if left > timedelta():
        return _("%(time)s after its run is resumed") % {"time": span(left)}
    return _("when its run is resumed")


def lease(message: Message, now: datetime) -> str:
    """Who has the message."""
    if message.token is None:
        return _("free")
    if message.due_at is not None and message.due_at > now:
        return _("held for another %(time)s") % {"time": span(message.due_at - now)}
    return _("ran out: its worker has gone")
