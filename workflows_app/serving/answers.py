"""Results of steps that others bring: the answer to a call, and who was told of an event."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.published import read_number
from workflows_app.protocol.runs import StepKind, StepRecord
from workflows_app.serving.numbering import Numbered
from workflows_app.serving.step_list import readable


def notified(step: Numbered, answer: bytes, now: datetime) -> StepRecord:
    """Who was told of an event; of a step that waited for it, the server tells no name."""
    told = [
        {
            "workflowRunId": each["workflowRunId"],
            "workflowUrl": each.get("waiter", {}).get("url", ""),
            "step": "" if "waiter" in each else None,
        }
        for each in decode_json(answer)
    ]
    return _record(step, encode_json(told), now)


def will_be_retried(said: Mapping[str, Any]) -> bool:
    is_good = HTTPStatus.OK <= said["status"] < HTTPStatus.MULTIPLE_CHOICES
    most = said.get("maxRetries")
    return not is_good and bool(most) and said.get("retried") != most


def called(headers: Mapping[str, str]) -> Numbered:
    number = read_number(headers.get("upstash-workflow-stepid", ""))
    if not number:
        raise InvalidInput("a callback names its step by Upstash-Workflow-StepId")
    return Numbered(
        number=number,
        key="",
        name=headers.get("upstash-workflow-stepname", ""),
        branch="",
        kind=StepKind.CALL,
        concurrent=read_number(headers.get("upstash-workflow-concurrent", "")) or 1,
    )


def answered(step: Numbered, said: Mapping[str, Any], now: datetime) -> StepRecord:
    answer = {
        "status": said["status"],
        "header": said.get("header") or {},
        "body": readable(base64.b64decode(said.get("body") or "")),
    }
    return _record(step, encode_json(answer), now)


def _record(step: Numbered, result: str, now: datetime) -> StepRecord:
    return StepRecord(
        key=step.key,
        name=step.name,
        kind=step.kind,
        branch=step.branch,
        input=None,
        result=result,
        error=None,
        attempts=1,
        started_at=now,
        ended_at=now,
    )
