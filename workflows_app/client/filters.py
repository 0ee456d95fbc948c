"""Which runs, or which entries of the dead letter queue, are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode

from workflows_app.errors import InvalidInput
from workflows_app.protocol.durations import parse_moment, unix_milliseconds

Texts = str | Sequence[str]
"""One value, or several of which any will do."""
Moment = datetime | str | float
"""Numbers are unix seconds; without an offset, a moment is in UTC."""
Pairs = list[tuple[str, str]]
UrlOf = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """The runs that all of this holds for. `workflow` is a name or a URL, and dates are those of
    the trigger.
    """

    workflow_run_id: Texts | None = None
    workflow: Texts | None = None
    workflow_url_starting_with: str | None = None
    """Only for cancelling."""
    state: Texts | None = None
    label: Texts | None = None
    from_date: Moment | None = None
    to_date: Moment | None = None
    workflow_created_at: Moment | None = None
    caller_ip: Texts | None = None
    flow_control_key: Texts | None = None
    host: Texts | None = None
    path: Texts | None = None
    message_id: Texts | None = None

    _NAMES: ClassVar = {
        "workflow_run_id": "workflowRunId",
        "state": "state",
        "label": "label",
        "caller_ip": "callerIp",
        "flow_control_key": "flowControlKey",
        "host": "host",
        "path": "path",
        "message_id": "messageId",
    }

    def to_look(self, url_of: UrlOf) -> Pairs:
        """As parameters. Raises InvalidInput."""
        if self.workflow_url_starting_with is not None:
            raise InvalidInput(
                "workflow_url_starting_with is for cancelling; name the workflows to look at"
            )
        return [*self._common(), *_urls(self.workflow, url_of)]

    def to_cancel(self, url_of: UrlOf) -> Pairs:
        """As `to_look`; here a URL is a prefix unless it is said to be whole."""
        prefix = self.workflow_url_starting_with
        if prefix is not None and self.workflow is not None:
            raise InvalidInput("give either workflow or workflow_url_starting_with, not both")
        if self.workflow is not None:
            exactly = ("workflowUrlExactMatch", "true")
            return [*self._common(), *_urls(self.workflow, url_of), exactly]
        prefixes = () if prefix is None else texts_of("workflow_url_starting_with", prefix)
        return [*self._common(), *(("workflowUrl", each) for each in prefixes)]

    def _common(self) -> Iterator[tuple[str, str]]:
        return _common(self, self._NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """The entries that all of this holds for. `workflow` is a name or a URL, and dates are those of
    the failure.
    """

    dlq_id: Texts | None = None
    workflow_run_id: Texts | None = None
    workflow: Texts | None = None
    response_status: int | Sequence[int] | None = None
    failure_function_state: Texts | None = None
    label: Texts | None = None
    from_date: Moment | None = None
    to_date: Moment | None = None
    workflow_created_at: Moment | None = None
    caller_ip: Texts | None = None
    flow_control_key: Texts | None = None

    _NAMES: ClassVar = {
        "dlq_id": "dlqIds",
        "workflow_run_id": "workflowRunId",
        "failure_function_state": "failureFunctionState",
        "label": "label",
        "caller_ip": "callerIp",
        "flow_control_key": "flowControlKey",
    }

    def pairs(self, url_of: UrlOf) -> Pairs:
        """As parameters. Raises InvalidInput."""
        wanted = self.response_status
        statuses = [wanted] if isinstance(wanted, int) else wanted
        texts = None if statuses is None else [str(status) for status in statuses]
        return [
            *_common(self, self._NAMES),
            *_urls(self.workflow, url_of),
            *([] if texts is None else value_pairs("responseStatus", "response_status", texts)),
        ]


def query(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def page(cursor: str | None, count: int | None) -> Pairs:
    asked = {"cursor": cursor, "count": None if count is None else str(count)}
    return [(name, value) for name, value in asked.items() if value is not None]


def value_pairs(theirs: str, name: str, given: Texts) -> Pairs:
    """Raises InvalidInput for what the server would take for several values."""
    texts = texts_of(name, given)
    torn = [text for text in texts if "," in text]
    if torn:
        raise InvalidInput(
            f"{name} is {torn[0]!r:.100}; the server takes a comma for the end of it"
        )
    return [(theirs, text) for text in texts]


def texts_of(name: str, given: Texts) -> list[str]:
    """Raises InvalidInput where there is none: to the server, no value would mean any."""
    values = [given] if isinstance(given, str) else list(given)
    if not values or not all(values):
        raise InvalidInput(f"{name} is empty; give it a value or leave it out")
    return values


_DATES = {
    "from_date": "fromDate",
    "to_date": "toDate",
    "workflow_created_at": "workflowCreatedAt",
}


def _common(
    wanted: RunFilter | DeadLetterFilter, names: dict[str, str]
) -> Iterator[tuple[str, str]]:
    for name, theirs in names.items():
        given = getattr(wanted, name)
        if given is not None:
            yield from value_pairs(theirs, name, given)
    for name, theirs in _DATES.items():
        moment = getattr(wanted, name)
        if moment is not None:
            yield theirs, str(unix_milliseconds(parse_moment(moment)))


def _urls(given: Texts | None, url_of: UrlOf) -> Iterator[tuple[str, str]]:
    if given is not None:
        for text in texts_of("workflow", given):
            yield "workflowUrl", url_of(text)
