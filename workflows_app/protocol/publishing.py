"""What endpoints and callers publish for remote runs, as the engine takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workflows_app.protocol.delivery_options import DeliveryOptions
from workflows_app.protocol.runs import FlowControlSpec, RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """A plan or the result of a step. Its endpoint gets it back when its delay is over."""

    run_id: str
    raw: bytes
    delay: timedelta | None = None
    not_before: datetime | None = None
    """Wins over `delay`."""
    options: DeliveryOptions = field(default_factory=DeliveryOptions)
    flow_control: FlowControlSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStepRequest:
    """A request to a third party, whose answer the endpoint gets as a callback."""

    run_id: str
    step_id: str
    """As the endpoint wrote it; a text, since it comes in a header."""
    step_name: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    retries: int
    retry_delay: str
    timeout: timedelta | None
    flow_control: FlowControlSpec | None
    callback_headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRequest:
    """A step that waits for an event. `step` is its JSON, without a result."""

    run_id: str
    event_id: str
    step: str
    timeout: timedelta
    options: DeliveryOptions = field(default_factory=DeliveryOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeRequest:
    """A run to be started, for whose end a step of another run waits."""

    parent_run_id: str
    step: str
    """Its JSON, without a result."""
    run: RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`deduplicated`: it had been accepted before, under this message id."""

    message_id: str
    deduplicated: bool = False
