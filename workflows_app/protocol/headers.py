"""The Upstash-* headers of a request, read once into values (Upstash reference 2.1 to 2.3, 2.5).

One grammar serves a message, its callback and its failure callback: what follows
"Upstash-Callback-" is read as if it followed "Upstash-", and is about the callback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from workflows_app.errors import InvalidInput
from workflows_app.protocol.cron import check_cron
from workflows_app.protocol.durations import parse_moment
from workflows_app.protocol.exchange import canonical_header, is_header_name, is_hop_by_hop
from workflows_app.protocol.header_values import (
    CallType,
    Redaction,
    checked_expression,
    parse_call_type,
    parse_count,
    parse_delay,
    parse_flow_control,
    parse_list,
    parse_method,
    parse_redaction,
    parse_timeout,
    parse_truth,
)
from workflows_app.protocol.ids import check_run_id
from workflows_app.protocol.runs import FlowControlSpec
from workflows_app.protocol.urls import check_url

_PREFIX = "upstash-"
_DEEPEST_CALLBACK = 2
"""The failure callback of a callback has none of its own."""

_SERVER_OWNED = frozenset(
    {
        "upstash-caller-ip",
        "upstash-message-id",
        "upstash-queue-name",
        "upstash-region",
        "upstash-retried",
        "upstash-schedule-id",
        "upstash-signature",
        "upstash-topic-name",
        "upstash-workflow-calltype",
        "upstash-workflow-createdat",
        "upstash-workflow-init",
        "upstash-workflow-runid",
        "upstash-workflow-url",
        "user-agent",
    }
)
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOptions:
    """What a caller says about a message. None, or empty, where no header said anything."""

    method: str | None = None
    """Unsaid, it is POST."""
    delay: timedelta | None = None
    not_before: datetime | None = None
    """Wins over `delay`."""
    retries: int | None = None
    retry_delay: str | None = None
    """An expression that can be calculated, see `protocol.expressions`."""
    timeout: timedelta | None = None
    """For one attempt. A timeout of 0 is none."""
    deduplication_id: str | None = None
    content_based_deduplication: bool | None = None
    flow_control: FlowControlSpec | None = None
    labels: tuple[str, ...] = ()
    redaction: Redaction | None = None

    content_type: str | None = None
    forward: Mapping[str, str] = field(default_factory=dict)
    """Headers of the delivery by canonical name, without those that are not the caller's to set."""

    callback_url: str | None = None
    callback: MessageOptions | None = None
    """Options of the callback; they may come without its URL, and it without options."""
    failure_callback_url: str | None = None
    failure_callback: MessageOptions | None = None

    queue: str | None = None
    cron: str | None = None
    schedule_id: str | None = None

    features: frozenset[str] = frozenset()
    workflow_init: bool | None = None
    workflow_run_id: str | None = None
    workflow_call_type: CallType | None = None
    workflow_invoke: bool = False
    workflow_invoke_count: int = 0
    """How deep invocations are nested; the endpoint gets the header, too."""
    workflow_trigger_by_sdk: bool = False
    workflow_unknown_sdk: bool = False


def parse_headers(pairs: Iterable[tuple[str, str]]) -> MessageOptions:
    """Read the headers of a request or of a batch item; what is not Upstash's own is ignored.

    Raises InvalidInput or a kind of it, naming the header and what is allowed in it.
    """
    collected = collect_headers(pairs)
    fields = _Fields(_below(_PREFIX, collected), "Upstash-")
    carried: dict[str, str] = {}
    if fields.flag("header-forward"):
        carried = {name: value for name, value in collected.items() if _is_carried(name)}
    return _options(fields, carried, collected.get("content-type"))


def collect_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value for each lower-case name; what was sent several times is joined with ","."""
    collected: dict[str, str] = {}
    for name, value in pairs:
        lower, stripped = name.strip().lower(), value.strip()
        if _CONTROL_CHARACTER.search(stripped):
            raise InvalidInput(
                f"{canonical_header(lower)[:100]}: control characters cannot be in a header."
            )
        collected[lower] = f"{collected[lower]},{stripped}" if lower in collected else stripped
    return collected


class _Fields:
    """The headers about one message, by what follows the prefix that they share."""

    def __init__(self, values: Mapping[str, str], prefix: str, depth: int = 0) -> None:
        self._values = values
        self._prefix = prefix
        self._depth = depth

    def text(self, name: str) -> str | None:
        """The value as it was sent; an empty one counts as not sent."""
        return self._values.get(name) or None

    def read(self, name: str, parse: Callable[[str], _Value]) -> _Value | None:
        """The value as `parse` reads it, whose refusal is completed with the header's name."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse(value)
        except InvalidInput as error:
            raise type(error)(f"{self.named(name)}: {error.message}") from None

    def flag(self, name: str) -> bool:
        return self.read(name, parse_truth) or False

    def named(self, name: str) -> str:
        return f"{self._prefix}{canonical_header(name)}"

    def forwarded(self) -> dict[str, str]:
        return _below("forward-", self._values)

    def about(self, callback: str) -> _Fields | None:
        """The headers about this message's callback of that name, if there are any."""
        values = _below(f"{callback}-", self._values)
        if not values:
            return None
        if self._depth == _DEEPEST_CALLBACK:
            raise InvalidInput(f"{self.named(callback)}-...: callbacks are nested too deeply.")
        return _Fields(values, f"{self.named(callback)}-", self._depth + 1)


def _options(
    fields: _Fields, carried: Mapping[str, str], content_type: str | None
) -> MessageOptions:
    forward = _forward(fields, carried)
    forwarded_type = forward.pop("Content-Type", None)
    return MessageOptions(
        method=fields.read("method", parse_method),
        delay=fields.read("delay", parse_delay),
        not_before=fields.read("not-before", parse_moment),
        retries=fields.read("retries", parse_count),
        retry_delay=fields.read("retry-delay", checked_expression),
        timeout=fields.read("timeout", parse_timeout),
        deduplication_id=fields.text("deduplication-id"),
        content_based_deduplication=fields.read("content-based-deduplication", parse_truth),
        flow_control=_flow_control(fields),
        labels=fields.read("label", parse_list) or (),
        redaction=fields.read("redact-fields", parse_redaction),
        content_type=content_type or forwarded_type or None,
        forward=forward,
        callback_url=fields.read("callback", check_url),
        callback=_callback(fields, "callback"),
        failure_callback_url=fields.read("failure-callback", check_url),
        failure_callback=_callback(fields, "failure-callback"),
        queue=fields.text("queue-name"),
        cron=fields.read("cron", check_cron),
        schedule_id=fields.text("schedule-id"),
        features=frozenset(fields.read("feature-set", parse_list) or ()),
        workflow_init=fields.read("workflow-init", parse_truth),
        workflow_run_id=fields.read("workflow-runid", check_run_id),
        workflow_call_type=fields.read("workflow-calltype", parse_call_type),
        workflow_invoke=fields.flag("workflow-invoke"),
        workflow_invoke_count=fields.read(_INVOKE_COUNT, parse_count) or 0,
        workflow_trigger_by_sdk=fields.flag("workflow-trigger-by-sdk"),
        workflow_unknown_sdk=fields.flag("workflow-unknown-sdk"),
    )


_INVOKE_COUNT = "forward-upstash-workflow-invoke-count"


def _callback(fields: _Fields, name: str) -> MessageOptions | None:
    about = fields.about(name)
    return None if about is None else _options(about, {}, None)


def _flow_control(fields: _Fields) -> FlowControlSpec | None:
    names = ("flow-control-key", "flow-control-value")
    key, value = map(fields.text, names)
    if key is None and value is None:
        return None
    if key is None or value is None:
        here, missing = names if value is None else names[::-1]
        raise InvalidInput(f"{fields.named(here)}: {fields.named(missing)} must be sent with it.")
    return fields.read("flow-control-value", partial(parse_flow_control, key))


def _forward(fields: _Fields, carried: Mapping[str, str]) -> dict[str, str]:
    """What is asked for explicitly replaces what is only carried over."""
    wanted = {**carried, **fields.forwarded()}
    for name in wanted:
        if not is_header_name(name):
            raise InvalidInput(f"{fields.named('forward-')}{name[:100]}: this is no header name.")
    return {canonical_header(name): wanted[name] for name in wanted if _is_callers(name)}


def _is_callers(name: str) -> bool:
    """Whether callers decide on this header of a delivery (Upstash reference 2.5 (2), (3))."""
    owned = name in _SERVER_OWNED or name.startswith("upstash-telemetry-")
    return not owned and not is_hop_by_hop(name)


def _is_carried(name: str) -> bool:
    """Whether Upstash-Header-Forward covers a header; the credentials for this server stay here."""
    return name not in ("authorization", "content-type") and not name.startswith(_PREFIX)


def _below(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix) and name != prefix
    }
