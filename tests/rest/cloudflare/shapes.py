"""What answers about instances consist of, as the Cloudflare reference says (2.4 to 2.9): nothing
is missing, nothing else is there, and nothing has another type.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # publishes no types

Shape = dict[str, Any]

UUID: Shape = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
TIME: Shape = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
TEXT: Shape = {"type": "string"}
FLAG: Shape = {"type": "boolean"}
NUMBER: Shape = {"type": "number"}
STATUS: Shape = {
    "enum": [
        *("queued", "running", "paused", "errored", "terminated", "complete"),
        *("waitingForPause", "waiting", "rollingBack"),
    ]
}
SOURCE: Shape = {"enum": ["unknown", "api", "binding", "event", "cron"]}


def const(word: str) -> Shape:
    return {"const": word}


def optional(shape: Shape) -> Shape:
    """Which may be null."""
    return {"anyOf": [shape, {"type": "null"}]}


def a(fields: dict[str, Shape], absent: dict[str, Shape] | None = None) -> Shape:
    """An object; the fields that may be `absent` are named apart."""
    return {
        "type": "object",
        "properties": {**fields, **(absent or {})},
        "required": list(fields),
        "additionalProperties": False,
    }


def many(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


ERROR = a({"name": TEXT, "message": TEXT})
ITEM = a(
    {
        "id": {"type": "string", "minLength": 1},
        "workflow_id": UUID,
        "version_id": UUID,
        "status": STATUS,
        "created_on": TIME,
        "modified_on": TIME,
        "started_on": optional(TIME),
        "ended_on": optional(TIME),
    },
    absent={"trigger_source": SOURCE},
)
CREATED = a(
    {"id": TEXT, "status": STATUS, "version_id": UUID, "workflow_id": UUID},
    absent={"trigger_source": SOURCE},
)
CONFIG = a(
    {
        "retries": a(
            {"limit": NUMBER, "delay": {"type": ["string", "number"]}},
            absent={"backoff": {"enum": ["constant", "linear", "exponential"]}},
        ),
        "timeout": {"type": ["string", "number"]},
    },
    absent={"sensitive": const("output")},
)
ATTEMPT = a(
    {
        "start": TIME,
        "end": optional(TIME),
        "success": optional(FLAG),
        "error": optional(ERROR),
    }
)
STEP = a(
    {
        "type": {"enum": ["step", "rollback"]},
        "name": TEXT,
        "start": TIME,
        "end": optional(TIME),
        "success": optional(FLAG),
        "output": optional(TEXT),
        "config": CONFIG,
        "attempts": many(ATTEMPT),
    }
)
SLEEP = a(
    {
        "type": const("sleep"),
        "name": TEXT,
        "start": TIME,
        "end": TIME,
        "finished": FLAG,
        "error": optional(ERROR),
    }
)
TERMINATION = a({"type": const("termination"), "trigger": a({"source": TEXT})})
WAIT = a(
    {
        "type": const("waitForEvent"),
        "name": TEXT,
        "start": TIME,
        "end": TIME,
        "finished": FLAG,
        "error": optional(ERROR),
    },
    absent={"output": TEXT, "event_type": TEXT},
)
DETAIL = a(
    {
        "status": STATUS,
        "params": {},
        "trigger": a({"source": SOURCE}),
        "versionId": UUID,
        "queued": TIME,
        "start": optional(TIME),
        "end": optional(TIME),
        "success": optional(FLAG),
        "error": optional(ERROR),
        "output": {"type": ["string", "number"]},
        "rollback": optional(
            a({"outcome": {"enum": ["complete", "failed"]}, "error": optional(ERROR)})
        ),
        "step_count": {"type": "integer"},
        "steps": many({"oneOf": [STEP, SLEEP, TERMINATION, WAIT]}),
    },
    absent={"schedule": a({"cron": TEXT, "scheduledTime": NUMBER})},
)
STEP_OUTPUT = a(
    {"status": STATUS, "error": optional(ERROR)}, absent={"output": {}, "event_type": TEXT}
)
STATUS_CHANGE = a({"status": STATUS, "timestamp": TIME})
INSTANCE_CHANGE = a({"instanceId": TEXT, "timestamp": TIME})


def checked(shape: Shape, value: Any) -> Any:
    """The value, which has this shape."""
    Draft202012Validator(shape).validate(value)
    return value
