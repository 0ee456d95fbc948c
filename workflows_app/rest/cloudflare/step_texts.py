"""Results and errors as callers may see them: without what is to be hidden, and where they are
shown as texts, not too long (Cloudflare reference 4.9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from workflows_app.errors import InvalidInput
from workflows_app.models import Step
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import parse_duration
from workflows_app.protocol.hiding import hidden_error, hidden_exchange
from workflows_app.protocol.redaction import SENSITIVE, Redacted, Redactor, redactor_of
from workflows_app.rest.cloudflare.instance_bodies import ErrorBody
from workflows_app.rest.cloudflare.instance_rows import InstanceRows
from workflows_app.rest.cloudflare.times import write_time

_CUT = "[truncated output]"
_LONGEST_ESCAPE = len(r"\u0000")
_BEGIN_OF_TEXT = re.compile(r'"(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*')


# -- as texts


def head_for(most: int) -> int:
    """How much of a result's JSON tells its first `most` characters as a text, and whether it has
    more.
    """
    return _LONGEST_ESCAPE * (most + 1) + len('""')


def as_text(head: str) -> str:
    """A text without its quotes, anything else as its JSON; also where only the begin is known."""
    begin = None if isinstance(head, Redacted) else _BEGIN_OF_TEXT.match(head)
    return str(decode_json(f'{begin[0]}"')) if begin else head


def cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"{text[:most]}{_CUT}"


def as_value(result: str) -> Any:
    return result if isinstance(result, Redacted) else decode_json(result)


# -- without what is to be hidden


def shown_result(rows: InstanceRows, step: Step, result: str) -> str:
    """JSON, or what stands for it, which is `Redacted`."""
    if step.sensitive:
        return SENSITIVE
    shown = hidden_exchange(result, rows.redactor) if step.kind == Step.Kind.CALL else result
    return rows.redactor.body(_child_redactor(rows, step).body(shown or ""))


def _child_redactor(rows: InstanceRows, step: Step) -> Redactor:
    """What a step invoked may have asked for redaction itself."""
    invocation = rows.invocations.get(step.key)
    return redactor_of("" if invocation is None else invocation.child.redaction)


def shown_error(error: str | None, redactor: Redactor) -> ErrorBody | None:
    hidden = hidden_error(error, redactor)
    if hidden is None:
        return None
    said = decode_json(hidden)
    return {"name": said["type"], "message": said["message"]}


# -- of a wait for an event


def event_type_of(step: Step) -> str:
    return str(decode_json(step.input or "{}").get("event", ""))


def shown_event(rows: InstanceRows, step: Step) -> str:
    """What came, as a function gets it (Cloudflare reference 4.6); JSON, or `Redacted`."""
    data = _outcome(rows, step).get("data", "null")
    hidden = rows.redactor.body(data)
    if isinstance(hidden, Redacted):
        return hidden
    event = {
        "payload": _payload(data),
        "timestamp": write_time(step.ended_at),
        "type": event_type_of(step),
    }
    return encode_json(event)


def _payload(data: str) -> Any:
    """Events of other surfaces need not be JSON."""
    try:
        return decode_json(data)
    except InvalidInput:
        return data


def has_timed_out(rows: InstanceRows, step: Step) -> bool:
    return _outcome(rows, step).get("timeout") is True


def _outcome(rows: InstanceRows, step: Step) -> Mapping[str, Any]:
    outcome: Mapping[str, Any] = decode_json(rows.results[step.key] or "{}")
    return outcome


def timeout_error(step: Step) -> ErrorBody:
    length = parse_duration(decode_json(step.input or "{}")["timeout"])
    milliseconds = length // timedelta(milliseconds=1)
    message = f"Execution timed out after {milliseconds}ms"
    return {"name": "WorkflowTimeoutError", "message": message}
