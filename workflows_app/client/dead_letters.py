"""Failed runs that wait for a decision."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from urllib.parse import quote

from workflows_app.client.api import Api
from workflows_app.client.exchange import Flow, Outcome, Pause, Repeat, Request
from workflows_app.client.filters import DeadLetterFilter, Pairs, page, query, value_pairs
from workflows_app.client.options import SuccessorOptions, check_known, option_headers
from workflows_app.client.reading import Fields, json_or_text
from workflows_app.client.triggering import read_triggered
from workflows_app.errors import InvalidInput
from workflows_app.protocol.runs import TriggeredRun

_ROUTE = "/v2/workflows/dlq"
_DELETED_AT_ONCE = 100
EVERY_ENTRY = DeadLetterFilter()

Verb = Literal["resume", "restart"]


class CallbackState(StrEnum):
    """How far the failure function, or the failure URL, has been told."""

    IN_PROGRESS = "CALLBACK_INPROGRESS"
    SUCCEEDED = "CALLBACK_SUCCESS"
    FAILED = "CALLBACK_FAIL"
    CANCELED = "CALLBACK_CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A failed run, until it is resumed, restarted or deleted. `raw` is what the server said."""

    dlq_id: str
    workflow_run_id: str
    workflow_url: str
    created_at: datetime | None
    """Of the run."""
    response_status: int | None
    response_body: str
    """What the workflow answered last: of a function on the server, its error."""
    payload: str | None = None
    """None when it is no text."""
    labels: tuple[str, ...] = ()
    failure_function_state: str | None = None
    """One of `CallbackState`; None when nobody was to be told."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def body(self) -> Any:
        """The payload: decoded JSON where it is JSON, else text."""
        return json_or_text(self.payload)

    @classmethod
    def read(cls, said: Any) -> DeadLetter:
        answer = Fields(said)
        label = answer.text("label")
        return cls(
            dlq_id=answer.required("dlqId"),
            workflow_run_id=answer.text("workflowRunId") or "",
            workflow_url=answer.text("workflowUrl") or "",
            created_at=answer.milliseconds("workflowCreatedAt"),
            response_status=answer.number("responseStatus"),
            response_body=answer.content("responseBody") or "",
            payload=answer.content("body"),
            labels=answer.texts("labels") or ((label,) if label else ()),
            failure_function_state=answer.text("failureFunctionState"),
            raw=answer.all,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """Newest first."""

    entries: tuple[DeadLetter, ...]
    cursor: str | None
    """Where the next page begins; None when this is the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Successors:
    """The runs that were started in place of failed ones."""

    runs: tuple[TriggeredRun, ...]
    cursor: str | None
    """Not None while the filter matches more entries than are taken at once."""


# -- looking


def list_entries(
    api: Api, where: DeadLetterFilter, cursor: str | None, count: int | None
) -> Flow[DeadLetterPage]:
    wanted = where.pairs(api.connection.workflow_url)
    target = query(_ROUTE, [*wanted, *page(cursor, count)])
    said = yield from api.ask(Request(method="GET", target=target, repeat=Repeat.ALWAYS))
    answer = Fields(said)
    return DeadLetterPage(
        entries=answer.each("messages", DeadLetter.read), cursor=answer.text("cursor")
    )


def get_entry(api: Api, dlq_id: str) -> Flow[DeadLetter]:
    target = f"{_ROUTE}/{_segment(dlq_id)}"
    said = yield from api.ask(Request(method="GET", target=target, repeat=Repeat.ALWAYS))
    return DeadLetter.read(said)


# -- resuming and restarting


def succeed(api: Api, verb: Verb, dlq_id: str, options: SuccessorOptions) -> Flow[TriggeredRun]:
    target = f"{_ROUTE}/{verb}/{_segment(dlq_id)}"
    said = yield from api.ask(
        Request(method="POST", target=target, headers=_successor_headers(options))
    )
    return read_triggered(said)


def succeed_many(
    api: Api, verb: Verb, dlq_ids: Iterable[str], options: SuccessorOptions
) -> Flow[tuple[TriggeredRun, ...]]:
    """All of them or none."""
    ids = list(dlq_ids)
    if not ids:
        return ()
    pairs = value_pairs("dlqIds", "dlq_ids", ids)
    found = yield from _succeed(api, verb, [*pairs, *page(None, len(ids))], options)
    return found.runs


def succeed_where(
    api: Api, verb: Verb, where: DeadLetterFilter, options: SuccessorOptions
) -> Flow[Successors]:
    if where == EVERY_ENTRY:
        raise InvalidInput(f"the filter is empty; to {verb} every entry, call {verb}_all()")
    wanted = where.pairs(api.connection.workflow_url)
    return (yield from _succeed(api, verb, wanted, options))


def succeed_all(api: Api, verb: Verb, options: SuccessorOptions) -> Flow[Successors]:
    return (yield from _succeed(api, verb, [], options))


def _succeed(
    api: Api, verb: Verb, pairs: Pairs, options: SuccessorOptions
) -> Generator[Request | Pause, Outcome, Successors]:
    headers = _successor_headers(options)
    target = query(f"{_ROUTE}/{verb}", pairs)
    said = yield from api.ask(Request(method="POST", target=target, headers=headers))
    answer = Fields(said)
    return Successors(
        runs=answer.each("workflowRuns", read_triggered), cursor=answer.text("cursor")
    )


def _successor_headers(options: SuccessorOptions) -> dict[str, str]:
    check_known(options, SuccessorOptions.__optional_keys__)
    return option_headers(options)


# -- deleting


def delete(api: Api, dlq_ids: str | Iterable[str]) -> Flow[int]:
    """How many were there."""
    ids = [dlq_ids] if isinstance(dlq_ids, str) else list(dlq_ids)
    pairs = value_pairs("dlqIds", "dlq_ids", ids) if ids else []
    deleted = 0
    for start in range(0, len(pairs), _DELETED_AT_ONCE):
        number, _ = yield from _delete(api, pairs[start : start + _DELETED_AT_ONCE])
        deleted += number
    return deleted


def delete_where(api: Api, where: DeadLetterFilter) -> Flow[int]:
    if where == EVERY_ENTRY:
        raise InvalidInput("the filter is empty; to delete every entry, call delete_all()")
    return (yield from _delete_matching(api, where))


def delete_all(api: Api) -> Flow[int]:
    return (yield from _delete_matching(api, EVERY_ENTRY))


def _delete_matching(api: Api, where: DeadLetterFilter) -> Flow[int]:
    wanted, cursor, deleted = where.pairs(api.connection.workflow_url), None, 0
    while True:
        number, cursor = yield from _delete(api, [*wanted, *page(cursor, None)])
        deleted += number
        if cursor is None:
            return deleted


def _delete(
    api: Api, pairs: Sequence[tuple[str, str]]
) -> Generator[Request | Pause, Outcome, tuple[int, str | None]]:
    target = query(_ROUTE, [*pairs, ("count", str(_DELETED_AT_ONCE))])
    said = yield from api.ask(Request(method="DELETE", target=target))
    answer = Fields(said)
    return answer.number("deleted") or 0, answer.text("cursor")


# -- telling of the failure


def retry_failure_function(api: Api, dlq_id: str) -> Flow[None]:
    target = f"{_ROUTE}/callback/{_segment(dlq_id)}"
    yield from api.ask(Request(method="POST", target=target))


def retry_failure_function_many(api: Api, dlq_ids: Iterable[str]) -> Flow[None]:
    """One after the other, as the server takes one at a time."""
    for dlq_id in list(dlq_ids):
        yield from retry_failure_function(api, dlq_id)


def _segment(dlq_id: str) -> str:
    """Raises InvalidInput for an empty id, with which the path would mean every entry."""
    if not dlq_id:
        raise InvalidInput("dlq_id is empty")
    return quote(dlq_id, safe="")
