"""Steps as this endpoint publishes them: their plans and their results (Upstash reference 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows_app.errors import InvalidDuration
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import parse_duration
from workflows_app.protocol.runs import StepKind, StepRecord
from workflows_app.serving.numbering import Numbered
from workflows_app.serving.step_list import BRANCH, ERROR, INPUT, KEY, KIND

_TYPES = {
    StepKind.RUN: "Run",
    StepKind.SLEEP: "SleepFor",
    StepKind.CALL: "Call",
    StepKind.WAIT: "Wait",
    StepKind.NOTIFY: "Notify",
    StepKind.INVOKE: "Invoke",
    StepKind.CREATE_WEBHOOK: "CreateWebhook",
    StepKind.WAIT_FOR_WEBHOOK: "WaitForWebhook",
}


def step_type(kind: StepKind) -> str:
    """As the protocol calls it; what it has no word for is a Run."""
    return _TYPES.get(kind, "Run")


def encode_plan(step: Numbered, details: dict[str, Any]) -> str:
    """`details` are what only steps of its type say."""
    said = {
        "stepId": 0,
        "stepName": step.name,
        "stepType": step_type(step.kind),
        "concurrent": step.concurrent,
        "targetStep": step.number,
        **details,
        KEY: step.key,
        BRANCH: step.branch,
    }
    return encode_json({**said, **_own(step)})


def encode_result(step: Numbered, record: StepRecord, details: dict[str, Any]) -> str:
    """The end of a step. Its result is written also where there is none, as some SDKs need it."""
    said = {**announced(step), "out": record.result or "null", **details, **_own(step)}
    if step.kind not in _TYPES:
        said[INPUT] = record.input
    if record.error is not None:
        said[ERROR] = {**decode_json(record.error), "attempts": record.attempts}
    return encode_json(said)


def announced(step: Numbered) -> dict[str, Any]:
    """A step whose result the server will add."""
    return {
        "stepId": step.number,
        "stepName": step.name,
        "stepType": step_type(step.kind),
        "concurrent": step.concurrent,
    }


def _own(step: Numbered) -> dict[str, str]:
    """What tells a step that the protocol has no word for."""
    if step.kind in _TYPES:
        return {}
    return {KEY: step.key, BRANCH: step.branch, KIND: step.kind.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """How long a sleep lasts, in whole seconds as the protocol has them, rounded up."""

    details: dict[str, Any]
    headers: dict[str, str]


def pause_of(sleep: StepRecord) -> Pause:
    """Of a sleep that begins now: of a length, or until a moment."""
    given = decode_json(sleep.input or '""')
    try:
        seconds = whole_seconds(parse_duration(given))
    except InvalidDuration:
        moment = math.ceil(sleep.ended_at.timestamp())
        return Pause(
            details={"stepType": "SleepUntil", "sleepUntil": moment},
            headers={"Upstash-Not-Before": str(moment)},
        )
    return Pause(details={"sleepFor": seconds}, headers={"Upstash-Delay": f"{seconds}s"})


def whole_seconds(length: timedelta) -> int:
    return math.ceil(length.total_seconds())
