"""Messages as people ask about them: what is owed, when it is delivered next, who has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows_app.admin.displays import ago, span
from workflows_app.engine import clock
from workflows_app.models import Message, Run

MOST_OWED = 50

_KINDS: dict[str, str] = {
    Message.Kind.TURN: "go on with the function",
    Message.Kind.CALL: "send an HTTP call",
    Message.Kind.FAILURE: "make the failure callback",
    Message.Kind.DELIVERY: "deliver to the endpoint",
    Message.Kind.TIMEOUT: "stop waiting for an event",
    Message.Kind.REPORT: "tell how an invoked run ended",
    Message.Kind.PUBLICATION: "deliver a plain message",
    Message.Kind.SCHEDULE: "publish, or start a run, by schedule",
    Message.Kind.TERMINATION: "cancel the runs of a workflow",
    Message.Kind.PRUNING: "delete what ended long ago",
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
        kind=_KINDS[message.kind],
        step=message.key,
        due=due(message, clock.now()),
        lease=lease(message, clock.now()),
        claims=message.claims,
    )


def due(message: Message, now: datetime) -> str:
    """When the message is delivered next."""
    if message.due_at is None:
        return "when it is woken" if message.parked_for is None else _parked(message.parked_for)
    if message.token is not None and message.due_at > now:
        return "being delivered"
    return (
        f"now, for {span(now - message.due_at)}" if message.due_at <= now else ago(message.due_at)
    )


def _parked(left: timedelta) -> str:
    more = f"{span(left)} after " if left > timedelta() else "when "
    return f"{more}its run is resumed"


def lease(message: Message, now: datetime) -> str:
    """Who has the message."""
    if message.token is None:
        return "free"
    if message.due_at is not None and message.due_at > now:
        return f"held for another {span(message.due_at - now)}"
    return "ran out: its worker has gone"
