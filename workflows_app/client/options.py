"""What may be said about a run, a schedule or a resumed run, as the headers that say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

from workflows_app.client.filters import Moment
from workflows_app.errors import InvalidInput
from workflows_app.protocol.delays import delay_expression
from workflows_app.protocol.durations import author_duration, format_duration, parse_moment
from workflows_app.protocol.exchange import check_headers
from workflows_app.protocol.header_values import parse_redaction
from workflows_app.protocol.ids import check_run_id
from workflows_app.protocol.runs import FlowControlSpec

Duration = timedelta | str
"""A text has its unit: "90s", "1h30m", "7d"."""


class SuccessorOptions(TypedDict, total=False):
    """What a resumed or restarted run is to do differently."""

    retries: int | None
    retry_delay: Duration | None
    """Or milliseconds, as arithmetic over `retried`."""
    delay: Duration | None
    labels: str | Sequence[str]
    flow_control: FlowControlSpec | None
    failure_url: str | None


class MessageOptions(SuccessorOptions, total=False):
    headers: Mapping[str, str] | None
    """Which the workflow, or whoever the messages are for, is given."""
    timeout: Duration | None
    """For one attempt."""
    redact: str
    """What is shown only as hashes, such as "body,header[Authorization]"."""


class RunOptions(MessageOptions, total=False):
    workflow_run_id: str | None
    not_before: Moment | None
    """Wins over `delay`."""


class ScheduleOptions(MessageOptions, total=False):
    schedule_id: str | None
    """One that has the id already is given all that is said anew."""
    method: str | None
    queue: str | None
    callback: str | None
    """A URL that is sent the answer of each attempt."""


def check_known(options: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raises TypeError, as Python itself does for a keyword that there is not."""
    unknown = sorted(options.keys() - known)
    if unknown:
        raise TypeError(f"there is no option {unknown[0]!r}; known are {', '.join(sorted(known))}")


def option_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """Of what is said, but for the content type. Raises InvalidInput for what would be misread."""
    headers: dict[str, str] = {}
    for name, write in _WRITERS.items():
        if options.get(name) not in (None, "", ()):
            headers.update(write(options[name]))
    return headers


def split_content_type(headers: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """That of the body, which is no header to be forwarded, and the other headers."""
    check_headers(headers)
    kinds = [value for name, value in headers.items() if name.lower() == "content-type"]
    others = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return (kinds[0] if kinds else None), others


def _retries(retries: int) -> dict[str, str]:
    if retries < 0:
        raise InvalidInput(f"retries must be 0 or more, not {retries}")
    return {"Upstash-Retries": str(retries)}


def _labels(labels: str | Sequence[str]) -> dict[str, str]:
    names = [labels] if isinstance(labels, str) else list(labels)
    wrong = [name for name in names if "," in name or not name.strip()]
    if wrong:
        raise InvalidInput(f"{wrong[0]!r:.100} is no label: it is a text without commas")
    return {"Upstash-Label": ",".join(names)} if names else {}


def _not_before(moment: Moment) -> dict[str, str]:
    return {"Upstash-Not-Before": str(math.ceil(parse_moment(moment).timestamp()))}


def _duration(header: str, length: Duration) -> dict[str, str]:
    return {header: format_duration(author_duration(length))}


def _flow_control(spec: FlowControlSpec) -> dict[str, str]:
    limits = {"parallelism": spec.parallelism, "rate": spec.rate}
    parts = [f"{name}={limit}" for name, limit in limits.items() if limit is not None]
    if not parts:
        raise InvalidInput("flow_control needs a parallelism, a rate, or both")
    if spec.rate is not None:
        parts.append(f"period={format_duration(spec.period)}")
    return {
        "Upstash-Flow-Control-Key": spec.key,
        "Upstash-Flow-Control-Value": ", ".join(parts),
    }


def _redact(fields: str) -> dict[str, str]:
    parse_redaction(fields)
    return {"Upstash-Redact-Fields": fields}


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    _, others = split_content_type(headers)
    return {f"Upstash-Forward-{name}": value for name, value in others.items()}


_WRITERS: dict[str, Any] = {
    "headers": _forwarded,
    "workflow_run_id": lambda run_id: {"Upstash-Workflow-RunId": check_run_id(run_id)},
    "schedule_id": lambda schedule_id: {"Upstash-Schedule-Id": schedule_id},
    "delay": lambda length: _duration("Upstash-Delay", length),
    "not_before": _not_before,
    "timeout": lambda length: _duration("Upstash-Timeout", length),
    "retries": _retries,
    "retry_delay": lambda delay: {"Upstash-Retry-Delay": delay_expression(delay)},
    "labels": _labels,
    "flow_control": _flow_control,
    "failure_url": lambda url: {"Upstash-Failure-Callback": url},
    "callback": lambda url: {"Upstash-Callback": url},
    "method": lambda method: {"Upstash-Method": method},
    "queue": lambda queue: {"Upstash-Queue-Name": queue},
    "redact": _redact,
}
