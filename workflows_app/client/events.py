"""Sending events, and who waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from workflows_app.client.api import Api
from workflows_app.client.contents import encode_content
from workflows_app.client.exchange import Flow, Repeat, Request
from workflows_app.client.reading import Fields, read_list
from workflows_app.protocol.ids import check_event_id, check_run_id

_RUN_ID = "Upstash-Workflow-Runid"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWaiter:
    """A step that waits for an event until its deadline."""

    workflow_url: str
    deadline: datetime | None
    workflow_run_id: str | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, said: Any) -> EventWaiter:
        answer = Fields(said)
        run_ids = answer.headers("headers").get(_RUN_ID, ())
        return cls(
            workflow_url=answer.required("url"),
            deadline=answer.seconds("deadline"),
            workflow_run_id=run_ids[0] if run_ids else None,
            raw=answer.all,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """A run that was sent an event. Without a waiter, the event is kept until the run waits."""

    workflow_run_id: str
    created_at: datetime | None
    waiter: EventWaiter | None

    @classmethod
    def read(cls, said: Any) -> Notified:
        answer = Fields(said)
        return cls(
            workflow_run_id=answer.text("workflowRunId") or "",
            created_at=answer.milliseconds("workflowCreatedAt"),
            waiter=answer.one("waiter", EventWaiter.read),
        )


def notify(
    api: Api, event_id: str, event_data: Any, workflow_run_id: str | None
) -> Flow[tuple[Notified, ...]]:
    content, _ = encode_content("the event data", event_data)
    parts = [check_event_id(event_id)]
    if workflow_run_id is not None:
        parts.insert(0, check_run_id(workflow_run_id))
    said = yield from api.ask(
        Request(method="POST", target=_path("/v2/notify", *parts), content=content)
    )
    return read_list(said, Notified.read)


def get_waiters(api: Api, event_id: str) -> Flow[tuple[EventWaiter, ...]]:
    target = _path("/v2/waiters", check_event_id(event_id))
    said = yield from api.ask(Request(method="GET", target=target, repeat=Repeat.ALWAYS))
    return read_list(said, EventWaiter.read)


def _path(*parts: str) -> str:
    first, *others = parts
    return "/".join([first, *(quote(part, safe="") for part in others)])
