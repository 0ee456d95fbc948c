"""Steps of local runs that wait for events, send them, or make webhooks, as logs show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from workflows_app.models import Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import format_duration, parse_duration, unix_milliseconds
from workflows_app.rest.upstash.bodies import StepDetailsBody

STEP_TYPES: Mapping[str, str] = {
    Step.Kind.WAIT: "Wait",
    Step.Kind.WAIT_FOR_WEBHOOK: "WaitForWebhook",
    Step.Kind.NOTIFY: "Notify",
    Step.Kind.CREATE_WEBHOOK: "CreateWebhook",
}


def waiting_details(waiter: Waiter) -> StepDetailsBody:
    """Of a step while it waits."""
    said = decode_json(waiter.step)
    length = waiter.deadline - waiter.created_at
    return {
        "stepName": said["stepName"],
        "stepType": STEP_TYPES[said["kind"]],
        "callType": "step",
        "createdAt": unix_milliseconds(waiter.created_at),
        **_wait(waiter.event_id, length, waiter.created_at),
        "waitTimeout": False,
    }


def waited_details(step: Step) -> StepDetailsBody:
    """Of a step that has waited: what came, as it came; nothing, if it was cancelled."""
    asked, ended = decode_json(step.input or "{}"), decode_json(step.result or "{}")
    details: StepDetailsBody = {
        **_wait(asked["event"], parse_duration(asked["timeout"]), step.started_at),
        "waitTimeout": ended.get("timeout", False),
    }
    return {**details, "out": ended["data"]} if "data" in ended else details


def _wait(event_id: str, length: timedelta, since: datetime) -> StepDetailsBody:
    return {
        "waitEventId": event_id,
        "waitTimeoutDuration": format_duration(length),
        "waitTimeoutDeadline": unix_milliseconds(since + length),
    }
