"""Options of plain messages: laid over defaults, and kept as the headers that say them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.headers import MessageOptions, parse_headers
from workflows_app.protocol.runs import FlowControlSpec

_UNSAID = MessageOptions()


def layered(options: MessageOptions, defaults: MessageOptions) -> MessageOptions:
    """The options, with the defaults where they say nothing; headers one by one."""
    changes: dict[str, Any] = {
        each.name: getattr(defaults, each.name)
        for each in fields(MessageOptions)
        if getattr(options, each.name) == getattr(_UNSAID, each.name)
    }
    for name in ("callback", "failure_callback"):
        about, default = getattr(options, name), getattr(defaults, name)
        if about is not None and default is not None:
            changes[name] = layered(about, default)
    changes["forward"] = {**defaults.forward, **options.forward}
    return replace(options, **changes)


def encode_message_options(options: MessageOptions | None) -> str:
    """What they say about a plain message, as JSON."""
    return encode_json({} if options is None else dict(_said(options, "Upstash-")))


def decode_message_options(text: str) -> MessageOptions:
    """Undo `encode_message_options`."""
    said: dict[str, str] = decode_json(text)
    return parse_headers(said.items())


def _said(options: MessageOptions, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in _texts(options):
        if value:
            yield f"{prefix}{name}", value
    for name, value in options.forward.items():
        yield f"{prefix}Forward-{name}", value
    if options.callback is not None:
        yield from _said(options.callback, f"{prefix}Callback-")
    if options.failure_callback is not None:
        yield from _said(options.failure_callback, f"{prefix}Failure-Callback-")


def _texts(options: MessageOptions) -> Iterator[tuple[str, str | None]]:
    yield "Method", options.method
    yield "Delay", None if options.delay is None else format_duration(options.delay)
    yield "Not-Before", None if options.not_before is None else options.not_before.isoformat()
    yield "Retries", None if options.retries is None else str(options.retries)
    yield "Retry-Delay", options.retry_delay
    yield "Timeout", None if options.timeout is None else format_duration(options.timeout)
    yield "Deduplication-Id", options.deduplication_id
    by_content = options.content_based_deduplication
    yield "Content-Based-Deduplication", None if by_content is None else str(by_content).lower()
    yield "Label", ",".join(options.labels)
    yield "Redact-Fields", None if options.redaction is None else options.redaction.encode()
    yield "Forward-Content-Type", options.content_type
    yield "Callback", options.callback_url
    yield "Failure-Callback", options.failure_callback_url
    if options.flow_control is not None:
        yield "Flow-Control-Key", options.flow_control.key
        yield "Flow-Control-Value", flow_control_value(options.flow_control)


def flow_control_value(control: FlowControlSpec) -> str:
    """Its limits, as `parse_flow_control` reads them."""
    limits = {
        "parallelism": control.parallelism,
        "rate": control.rate,
        "period": format_duration(control.period),
    }
    return ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)
