"""Server-sent events, as browsers read them (https://html.spec.whatwg.org/#server-sent-events)."""

from __future__ import annotations

CONTENT_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"
"""A comment: it says nothing, but fails when nobody listens any more."""


def frame(data: str, *, event: str = "", event_id: str = "") -> bytes:
    """One event. `data` is a single line, such as JSON; readers hear of an event without a name as
    a "message".
    """
    lines = [f"event: {event}"] if event else []
    lines += [f"id: {event_id}"] if event_id else []
    return "\n".join([*lines, f"data: {data}", "", ""]).encode()


def position(event_id: str) -> bytes:
    """From where a reader goes on when it comes again; it is told nothing."""
    return f"id: {event_id}\n\n".encode()


def retry(seconds: float) -> bytes:
    """How long readers wait before they connect again."""
    return f"retry: {int(seconds * 1000)}\n\n".encode()
