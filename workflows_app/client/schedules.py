"""Starting runs, or sending messages, again and again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from workflows_app.client.api import Api
from workflows_app.client.contents import encode_content
from workflows_app.client.exchange import Flow, Repeat, Request
from workflows_app.client.options import (
    ScheduleOptions,
    check_known,
    option_headers,
    split_content_type,
)
from workflows_app.client.reading import Fields, json_or_text, read_list
from workflows_app.errors import InvalidInput

_ROUTE = "/v2/schedules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`raw` is what the server said."""

    schedule_id: str
    cron: str
    destination: str
    created_at: datetime | None
    is_paused: bool
    payload: str | None = None
    """None when there is none, or it is no text."""
    next_at: datetime | None = None
    last_at: datetime | None = None
    last_states: Mapping[str, str] = field(default_factory=dict)
    """By message, "IN_PROGRESS", "SUCCESS" or "FAIL": how those of the last time fared."""
    labels: tuple[str, ...] = ()
    queue: str | None = None
    error: str | None = None
    """Why the last time published nothing."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def body(self) -> Any:
        """The payload: decoded JSON where it is JSON, else text."""
        return json_or_text(self.payload)

    @classmethod
    def read(cls, said: Any) -> Schedule:
        answer = Fields(said)
        label, states = answer.text("label"), answer.one("lastScheduleStates", dict)
        return cls(
            schedule_id=answer.required("scheduleId"),
            cron=answer.required("cron"),
            destination=answer.required("destination"),
            created_at=answer.milliseconds("createdAt"),
            is_paused=answer.truth("isPaused"),
            payload=answer.content("body"),
            next_at=answer.milliseconds("nextScheduleTime"),
            last_at=answer.milliseconds("lastScheduleTime"),
            last_states=states or {},
            labels=answer.texts("labels") or ((label,) if label else ()),
            queue=answer.text("queueName"),
            error=answer.text("error"),
            raw=answer.all,
        )


def create(api: Api, workflow: str, cron: str, body: Any, options: ScheduleOptions) -> Flow[str]:
    """Its id. It has one before it is asked for, so that it is made once however often that is
    repeated.
    """
    check_known(options, ScheduleOptions.__optional_keys__)
    schedule_id = options.get("schedule_id") or f"scd_{secrets.token_urlsafe(18)}"
    content, usual_type = encode_content("the body of a schedule", body)
    own_type, _ = split_content_type(options.get("headers") or {})
    request = Request(
        method="POST",
        target=f"{_ROUTE}/{api.connection.workflow_url(workflow)}",
        headers={
            "Content-Type": own_type or usual_type,
            "Upstash-Cron": cron,
            **option_headers({**options, "schedule_id": schedule_id}),
        },
        content=content,
        repeat=Repeat.ALWAYS,
    )
    said = yield from api.ask(request)
    return Fields(said).required("scheduleId")


def list_schedules(api: Api) -> Flow[tuple[Schedule, ...]]:
    said = yield from api.ask(Request(method="GET", target=_ROUTE, repeat=Repeat.ALWAYS))
    return read_list(said, Schedule.read)


def get_schedule(api: Api, schedule_id: str) -> Flow[Schedule]:
    target = _path(schedule_id)
    said = yield from api.ask(Request(method="GET", target=target, repeat=Repeat.ALWAYS))
    return Schedule.read(said)


def switch(api: Api, schedule_id: str, verb: Literal["pause", "resume"]) -> Flow[None]:
    target = f"{_path(schedule_id)}/{verb}"
    yield from api.ask(Request(method="PATCH", target=target, repeat=Repeat.ALWAYS))


def delete(api: Api, schedule_id: str) -> Flow[None]:
    yield from api.ask(Request(method="DELETE", target=_path(schedule_id)))


def _path(schedule_id: str) -> str:
    """Raises InvalidInput for an empty id, with which the path would mean every schedule."""
    if not schedule_id:
        raise InvalidInput("schedule_id is empty")
    return f"{_ROUTE}/{quote(schedule_id, safe='')}"
