"""Steps as the SDKs publish them and endpoints get them back (Upstash reference 3.3, 4.5 to 4.8).

What is published is kept and sent back byte for byte; it is parsed only to be understood here.
Bodies that this server makes are written as `JSON.stringify` would, as some SDKs serialise a body
anew before they check its signature (Upstash reference 10 (1)).
"""

from __future__ import annotations

import base64
import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.runs import StepKind

CallType = Literal["step", "toCallback", "fromCallback"]

_KINDS = {
    "Run": StepKind.RUN,
    "SleepFor": StepKind.SLEEP,
    "SleepUntil": StepKind.SLEEP,
    "Call": StepKind.CALL,
    "Wait": StepKind.WAIT,
    "Notify": StepKind.NOTIFY,
    "Invoke": StepKind.INVOKE,
    "CreateWebhook": StepKind.CREATE_WEBHOOK,
    "WaitForWebhook": StepKind.WAIT_FOR_WEBHOOK,
}
_CALL_TYPES: Mapping[str, CallType] = {
    StepKind.CALL_SENT: "toCallback",
    StepKind.CALL_ANSWERED: "fromCallback",
}
_LARGEST_STEP = 1_000_000_000
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedStep:
    """A plan (`step_id` 0) or a result. `out` is the result's JSON, None where there is none."""

    step_id: int
    name: str
    type: str
    kind: StepKind
    concurrent: int
    target_step: int | None
    out: str | None
    details: Mapping[str, Any]
    """The whole object, with what only some types have."""

    @property
    def key(self) -> str:
        """Its identity in the journal: repeated deliveries publish the same step again."""
        return plan_key(self.target_step or 0) if self.kind == StepKind.PLAN else str(self.step_id)


def plan_key(target_step: int) -> str:
    return f"{target_step}:plan"


def sent_key(step_id: str) -> str:
    """Of the request of a call."""
    return f"{step_id}:sent"


def answered_key(step_id: str) -> str:
    """Of the callback that brings a call's answer."""
    return f"{step_id}:answered"


def abandoned_key(step_id: str) -> str:
    """Of a wait that its run did not live to see the end of."""
    return f"{step_id}:abandoned"


def read_step(raw: bytes) -> PublishedStep | None:
    """None for what is no step that this server understands; its SDK may all the same."""
    try:
        return step_of(decode_json(raw))
    except InvalidInput:
        return None


def step_of(said: Any) -> PublishedStep | None:
    """The step in a parsed body; see `read_step`."""
    if not isinstance(said, Mapping):
        return None
    step_id, target = _number(said, "stepId"), _number(said, "targetStep")
    name, kind = said.get("stepName"), said.get("stepType")
    if step_id is None or not isinstance(name, str) or not isinstance(kind, str):
        return None
    if step_id == 0 and not target:
        return None
    out = said.get("out")
    return PublishedStep(
        step_id=step_id,
        name=name,
        type=kind,
        kind=_KINDS.get(kind, StepKind.OTHER) if step_id else StepKind.PLAN,
        concurrent=_number(said, "concurrent") or 1,
        target_step=target,
        out=out if isinstance(out, str) else None if out is None else encode_json(out),
        details=said,
    )


def _number(said: Mapping[str, Any], name: str) -> int | None:
    value = said.get(name)
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_STEP
    return value if usable else None


def read_number(text: str) -> int | None:
    """Such a number in a header; None for any other text."""
    return int(text) if _NUMBER.fullmatch(text) else None


def kind_of_type(step_type: str) -> StepKind:
    """What a plan announces."""
    return _KINDS.get(step_type, StepKind.OTHER)


# -- the step list


class Element(NamedTuple):
    """An element of a run's step list after the first."""

    message_id: str
    raw: bytes
    kind: str

    @property
    def call_type(self) -> CallType:
        return _CALL_TYPES.get(self.kind, "step")


def encode_step_list(start_id: str, payload: bytes, elements: Iterable[Element]) -> bytes:
    """The body of a delivery: the run's start, then all up to the message that is delivered. What
    `raw_steps` has as JSON, which base64 and ids are without an encoder.
    """
    steps = [
        _encode_raw_step(start_id, payload, "step"),
        *(_encode_raw_step(each.message_id, each.raw, each.call_type) for each in elements),
    ]
    return b"[%b]" % b",".join(steps)


def raw_steps(start_id: str, payload: bytes, elements: Iterable[Element]) -> list[dict[str, str]]:
    return [
        _raw_step(start_id, payload, "step"),
        *(_raw_step(each.message_id, each.raw, each.call_type) for each in elements),
    ]


def _raw_step(message_id: str, raw: bytes, call_type: CallType) -> dict[str, str]:
    return {"messageId": message_id, "body": base64_text(raw), "callType": call_type}


def _encode_raw_step(message_id: str, raw: bytes, call_type: CallType) -> bytes:
    body = b2a_base64(raw, newline=False)
    said = message_id.encode(), body, call_type.encode()
    return b'{"messageId":"%b","body":"%b","callType":"%b"}' % said


# -- steps that this server completes


def waited(step: str, event_id: str, data: bytes) -> bytes:
    """A wait that ended with an event. Empty data is left out (Upstash reference 9 (33))."""
    out = {"out": base64_text(data)} if data else {}
    said = {**decode_json(step), "waitEventId": event_id, **out, "waitTimeout": False}
    return encode_json(said).encode()


def timed_out(step: str, event_id: str) -> bytes:
    """A wait that ended by its deadline: the key "out" is absent (Upstash reference 4.6 (4))."""
    said = {**decode_json(step), "waitEventId": event_id, "waitTimeout": True}
    return encode_json(said).encode()


def invocation_out(result: str | None, *, failed: bool, canceled: bool) -> str:
    """The result of a step that invoked a run which has ended with `result` (Upstash reference
    4.8).
    """
    body = {} if result is None else {"body": result}
    return encode_json({**body, "isFailed": failed, "isCanceled": canceled})


def invoked(step: str, out: str) -> bytes:
    """The step of an invocation with its result, see `invocation_out`."""
    return encode_json({**decode_json(step), "out": out}).encode()


def webhook_event(  # noqa: PLR0913 - the parts of a request
    *, method: str, headers: Mapping[str, list[str]], body: bytes, scheme: str, host: str, url: str
) -> bytes:
    """A request to a webhook as event data; `url` is its path with its query (Upstash reference
    4.7). A body that its method should not have is left out: the SDK could not rebuild the request,
    and whoever knows the URL could fail the run.
    """
    said: dict[str, Any] = {"method": method, "header": dict(headers)}
    if body and method not in ("GET", "HEAD"):
        said["body"] = base64_text(body)
    return encode_json({**said, "proto": scheme, "host": host, "url": url}).encode()


def base64_text(content: bytes) -> str:
    return base64.b64encode(content).decode()
