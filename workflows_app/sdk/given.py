"""What the functions of class-based workflows are given: dicts whose items are attributes, too."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workflows_app.protocol.codec import decode_json
from workflows_app.sdk.base_context import BaseContext


class Given(dict[str, Any]):
    """`given["step"]` is `given.step` as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self)
            raise AttributeError(f'there is no "{name}" here, but {known}') from None


class WorkflowEvent(Given):
    """Given to `run`: what started it.

    `schedule`, of a run that a schedule started, has the items `cron` and `scheduledTime`, in
    milliseconds since 1970; other runs have none. What is changed in `payload` is not kept.
    """

    payload: Any
    timestamp: datetime
    instanceId: str  # noqa: N815 - as published
    workflowName: str  # noqa: N815
    schedule: Any


def event_of(context: BaseContext) -> WorkflowEvent:
    info = context._info
    event = WorkflowEvent(
        payload=context.request_payload,
        timestamp=info.created_at,
        instanceId=info.run_id,
        workflowName=info.workflow,
    )
    if info.schedule:
        said = decode_json(info.schedule)
        event["schedule"] = Given(cron=said["cron"], scheduledTime=said["scheduledTime"])
    return event
