"""What happened to runs, one event at a time, newest first (Upstash reference 1.4 (E12), 6.4).

No event is stored: each is read from the row that the happening left behind.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nlargest
from typing import Any, NamedTuple

from django.db.models import F, Model, Prefetch, Q, QuerySet

from workflows_app.engine import clock
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.engine.remote.reading import program_of
from workflows_app.errors import InvalidInput
from workflows_app.models import Account, Attempt, Invocation, Run, Step, Waiter
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.faults import LOST
from workflows_app.protocol.ids import start_message_id, step_message_id, waiter_message_id
from workflows_app.protocol.published import abandoned_key
from workflows_app.protocol.redaction import redactor_of
from workflows_app.protocol.runs import UNDO
from workflows_app.rest.pagination import PageRequest
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash.bodies import RunEventBody, RunEventsBody, StepInfoBody
from workflows_app.rest.upstash.failings import read_failing
from workflows_app.rest.upstash.invocations import ended_out
from workflows_app.rest.upstash.redacting import redacted
from workflows_app.rest.upstash.remote_steps import (
    ERROR_STEP_NAME,
    message_id,
    out_of,
    step_details,
)
from workflows_app.rest.upstash.run_filters import RunFilter
from workflows_app.rest.upstash.run_logs import add_labels, render_invoker
from workflows_app.rest.upstash.step_entries import invoking_details, recorded_details
from workflows_app.rest.upstash.vocabulary import RUN_STATES, RunState, StepState, header_map
from workflows_app.rest.upstash.waits import waiting_details

MOST_EVENTS = 1000
DEFAULT_EVENTS = 100
"""On one page."""

EventState = RunState | StepState

_ANNOUNCED = (Step.Kind.PLAN, Step.Kind.CALL_SENT, Step.Kind.CALL_ANSWERED)
"""Rows of the journal that are no results."""
_ABANDONED = Q(run__workflow="", key__endswith=abandoned_key(""))
_LOST = Q(error__startswith=LOST)
_STATES: tuple[EventState, ...] = (
    *RUN_STATES.values(),
    "STEP_PROGRESS",
    "STEP_SUCCESS",
    "STEP_RETRY",
    "STEP_FAILED",
    "STEP_CANCELED",
)
_CURSOR = re.compile(
    r"(?P<at>[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{6})?\+00:00)"
    r"/(?P<rank>[0-9])/(?P<pk>[0-9]{1,18})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Dates and states are those of events; all else is about their runs. Empty means any."""

    runs: RunFilter
    since: datetime | None = None
    until: datetime | None = None
    states: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Parameters) -> EventFilter:
        """Raises InvalidInput for a value that cannot be one of its filter."""
        states = given.texts("state")
        for state in states:
            if state not in _STATES:
                raise InvalidInput(
                    f"state is {state[:100]!r} but must be one of {', '.join(_STATES)}"
                )
        runs = RunFilter.read(given.without("state"))
        return cls(
            runs=replace(runs, since=None, until=None),
            since=runs.since,
            until=runs.until,
            states=states,
        )


class Position(NamedTuple):
    """Of an event among all others: later ones are greater."""

    at: datetime
    rank: int
    """Of two sources at one moment, the one whose events are taken for later has the greater."""
    pk: int

    def encode(self) -> str:
        text = f"{self.at.isoformat()}/{self.rank}/{self.pk}"
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_position(cursor: str) -> Position:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        match = _CURSOR.fullmatch(text)
        at = datetime.fromisoformat(match["at"]) if match else None
    except ValueError:
        match, at = None, None
    if match is None or at is None:
        raise InvalidInput(
            f"{cursor[:100]!r} is not a cursor; send the one that came with the page before, or "
            "none"
        )
    return Position(at, int(match["rank"]), int(match["pk"]))


# -- where events are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of happening: the rows that tell of it, and when it was."""

    rank: int
    rows: Callable[[QuerySet[Run], datetime], QuerySet[Any]]
    moment: str
    states: tuple[EventState, ...]
    state_of: Callable[[Any], EventState]
    run_of: Callable[[Any], int]

    def position(self, row: Model) -> Position:
        return Position(getattr(row, self.moment), self.rank, row.pk)

    def before(self, cursor: Position | None) -> Q:
        if cursor is None:
            return Q()
        earlier = Q(**{f"{self.moment}__lt": cursor.at})
        if self.rank > cursor.rank:
            return earlier
        same = Q(**{self.moment: cursor.at})
        return earlier | (same & Q(pk__lt=cursor.pk) if self.rank == cursor.rank else same)


_PAUSED = Q(
    kind=Step.Kind.SLEEP,
    run__status=Run.Status.RUNNING,
    run__paused_at__isnull=False,
    ended_at__gt=F("run__paused_at"),
)
"""A sleep that does not end before its run is resumed."""


def _results(runs: QuerySet[Run], now: datetime) -> QuerySet[Step]:
    """Those whose time has come while their run was alive."""
    in_time = Q(run__ended_at=None) | Q(ended_at__lte=F("run__ended_at"))
    finished = Q(error=None) | Q(key=UNDO)
    results = Step.objects.exclude(kind__in=_ANNOUNCED).filter(finished, ended_at__lte=now)
    return results.exclude(_PAUSED).filter(in_time, run__in=runs)


def _begun(runs: QuerySet[Run], now: datetime) -> QuerySet[Step]:
    asleep = Q(kind=Step.Kind.SLEEP, ended_at__gt=F("started_at"))
    announced = asleep | Q(kind__in=_ANNOUNCED) | _ABANDONED
    return Step.objects.filter(announced, run__in=runs)


def _abandoned(runs: QuerySet[Run], now: datetime) -> QuerySet[Step]:
    return Step.objects.filter(_ABANDONED | _LOST, run__in=runs)


def _failed(runs: QuerySet[Run], now: datetime) -> QuerySet[Attempt]:
    attempts = Attempt.objects.filter(run__in=runs, outcome=Attempt.Outcome.FAILED)
    return attempts.exclude(key=FAILURE_KEY)


def _run_pk(row: Any) -> int:
    pk: int = row.run_id
    return pk


SOURCES = (
    Source(
        rank=0,
        rows=lambda runs, now: runs,
        moment="created_at",
        states=("RUN_STARTED",),
        state_of=lambda run: "RUN_STARTED",
        run_of=lambda run: int(run.pk),
    ),
    Source(
        rank=1,
        rows=_begun,
        moment="started_at",
        states=("STEP_PROGRESS",),
        state_of=lambda step: "STEP_PROGRESS",
        run_of=_run_pk,
    ),
    Source(
        rank=2,
        rows=lambda runs, now: Waiter.objects.filter(run__in=runs),
        moment="created_at",
        states=("STEP_PROGRESS",),
        state_of=lambda waiter: "STEP_PROGRESS",
        run_of=_run_pk,
    ),
    Source(
        rank=3,
        rows=lambda runs, now: Invocation.objects.filter(parent__in=runs).select_related("child"),
        moment="created_at",
        states=("STEP_PROGRESS",),
        state_of=lambda invocation: "STEP_PROGRESS",
        run_of=lambda invocation: int(invocation.parent_id),
    ),
    Source(
        rank=4,
        rows=_failed,
        moment="ended_at",
        states=("STEP_RETRY", "STEP_FAILED"),
        state_of=lambda attempt: "STEP_RETRY" if attempt.retry_at else "STEP_FAILED",
        run_of=_run_pk,
    ),
    Source(
        rank=5,
        rows=_results,
        moment="ended_at",
        states=("STEP_SUCCESS",),
        state_of=lambda step: "STEP_SUCCESS",
        run_of=_run_pk,
    ),
    Source(
        rank=6,
        rows=_abandoned,
        moment="ended_at",
        states=("STEP_CANCELED",),
        state_of=lambda step: "STEP_CANCELED",
        run_of=_run_pk,
    ),
    Source(
        rank=7,
        rows=lambda runs, now: runs.ended(),  # type: ignore[attr-defined]  # a RunQuerySet
        moment="ended_at",
        states=("RUN_SUCCESS", "RUN_FAILED", "RUN_CANCELED"),
        state_of=lambda run: RUN_STATES[run.status],
        run_of=lambda run: int(run.pk),
    ),
)


class Happening(NamedTuple):
    position: Position
    state: EventState
    run_pk: int
    row: Any


def list_events(account: Account, wanted: EventFilter, page: PageRequest) -> RunEventsBody:
    """Raises InvalidInput for a cursor that is none of ours."""
    cursor = None if page.cursor is None else _read_position(page.cursor)
    runs, now = wanted.runs.runs_of(account), clock.now()
    found: list[Happening] = []
    for source in SOURCES:
        if wanted.states and not set(source.states) & set(wanted.states):
            continue
        rows = source.rows(runs, now).filter(source.before(cursor), _within(source, wanted))
        newest = rows.order_by(f"-{source.moment}", "-pk")[: page.count + 1]
        found.extend(_happenings(source, newest))
    shown = nlargest(page.count + 1, found, key=lambda each: each.position)
    body: RunEventsBody = {"events": _Renderer(shown[: page.count]).render()}
    if len(shown) > page.count:
        body["cursor"] = shown[page.count - 1].position.encode()
    return body


def _happenings(source: Source, rows: Iterable[Any]) -> Iterable[Happening]:
    for row in rows:
        yield Happening(source.position(row), source.state_of(row), source.run_of(row), row)


def _within(source: Source, wanted: EventFilter) -> Q:
    """The states of a source that are wanted are told apart by its rows."""
    within = Q()
    if wanted.since is not None:
        within &= Q(**{f"{source.moment}__gte": wanted.since})
    if wanted.until is not None:
        within &= Q(**{f"{source.moment}__lte": wanted.until})
    if wanted.states and len(source.states) > 1:
        within &= _states(source, wanted.states)
    return within


def _states(source: Source, states: tuple[str, ...]) -> Q:
    if "STEP_RETRY" in source.states:
        final = {state == "STEP_FAILED" for state in states if state in source.states}
        return Q() if len(final) > 1 else Q(retry_at__isnull=final.pop())
    ours = [status for status, theirs in RUN_STATES.items() if theirs in states]
    return Q(status__in=ours)


# -- how they read


class _Renderer:
    """Reads what a page of events needs besides their rows, in a fixed number of queries."""

    def __init__(self, happenings: list[Happening]) -> None:
        self._happenings = happenings
        invokers = Prefetch(
            "invokers", Invocation.objects.select_related("parent").defer("parent__payload")
        )
        runs = Run.objects.select_related("dead_letter").prefetch_related(invokers)
        self._runs = runs.defer("payload").in_bulk({each.run_pk for each in happenings})
        self._tried = self._steps_tried()
        self._hidden = self._hidden_outcomes()

    def _steps_tried(self) -> Mapping[tuple[int, str], Step]:
        attempts = [each.row for each in self._happenings if isinstance(each.row, Attempt)]
        steps = Step.objects.filter(
            run__in={attempt.run_id for attempt in attempts},
            key__in={attempt.key for attempt in attempts},
        )
        return {(step.run_id, step.key): step for step in steps} if attempts else {}

    def _hidden_outcomes(self) -> Mapping[tuple[int, str], str]:
        """The results of steps that invoked a run which asked for redaction itself."""
        steps = [each.row for each in self._happenings if isinstance(each.row, Step)]
        steps = [step for step in steps if step.kind == Step.Kind.INVOKE and step.result]
        if not steps:
            return {}
        invocations = (
            Invocation.objects.select_related("child")
            .defer("child__payload")
            .filter(
                parent__in={step.run_id for step in steps}, key__in={step.key for step in steps}
            )
        )
        hiding = invocations.exclude(child__redaction="").exclude(child__ended_at=None)
        return {(each.parent_id, each.key): ended_out(each) for each in hiding}

    def render(self) -> list[RunEventBody]:
        return [
            redacted(self._event(each), redactor_of(self._runs[each.run_pk].redaction))
            for each in self._happenings
        ]

    def _event(self, each: Happening) -> RunEventBody:
        run = self._runs[each.run_pk]
        body: RunEventBody = {
            "time": unix_milliseconds(each.position.at),
            "state": each.state,
            "workflowRunId": run.run_id,
            "workflowUrl": run.url,
            "workflowCreatedAt": unix_milliseconds(run.created_at),
        }
        if run.caller_ip:
            body["callerIp"] = run.caller_ip
        add_labels(body, run)
        match each.row:
            case Run():
                _add_run(body, run)
            case Attempt():
                tried = self._tried.get((run.pk, each.row.key))
                _add_attempt(body, run, each.row, tried)
            case Step() if not run.is_remote:
                body["stepInfo"] = _local_info(each.row)
            case Invocation() if not run.is_remote:
                body["stepInfo"] = _invoking_info(each.row)
            case Waiter() if not run.is_remote:
                body["stepInfo"] = _waiting_info(each.row)
            case _ if not run.is_remote:
                body["stepInfo"] = {"stepName": each.row.key}
            case _:
                body["stepInfo"] = _remote_info(each.row)
        if isinstance(each.row, Step) and (run.pk, each.row.key) in self._hidden:
            body["stepInfo"]["out"] = self._hidden[run.pk, each.row.key]
        return body


def _add_run(body: RunEventBody, run: Run) -> None:
    match body["state"]:
        case "RUN_STARTED":
            body["headers"] = {"Content-Type": [run.content_type], **header_map(run.header_map)}
            invocation = next(iter(run.invokers.all()), None)
            if invocation is not None:
                invoker = render_invoker(invocation.parent)
                body["invokerWorkflowRunId"] = invoker["workflowRunId"]
                body["invokerWorkflowUrl"] = invoker["workflowUrl"]
                body["invokerWorkflowCreatedAt"] = invoker["workflowRunCreatedAt"]
        case "RUN_SUCCESS" if run.result is not None:
            body["workflowRunResponse"] = run.result
        case "RUN_FAILED":
            _add_failing(body, run.error_info or {})
            letter = getattr(run, "dead_letter", None)
            if letter is not None:
                body["dlqId"] = letter.public_id


def _add_failing(body: RunEventBody, error: Mapping[str, Any]) -> None:
    failing = read_failing(error)
    body["error"] = failing.summary
    body["responseStatus"] = failing.status
    body["responseHeaders"] = failing.headers
    body["responseBody"] = failing.body


def _add_attempt(body: RunEventBody, run: Run, attempt: Attempt, tried: Step | None) -> None:
    """A delivery that failed was to bring a step that nobody knew yet, unless it was that of a plan
    or of an answer. What is worked on here fails in steps.
    """
    error = attempt.error_info
    _add_failing(body, error)
    if attempt.retry_at is not None:
        body["nextDeliveryTime"] = unix_milliseconds(attempt.retry_at)
    if not run.is_remote:
        body["stepInfo"] = {"stepName": attempt.key} if attempt.key else {}
    elif tried is not None and tried.kind in _ANNOUNCED:
        body["stepInfo"] = _remote_info(tried)
    else:
        pk = start_message_id(run.pk) if tried is None else step_message_id(tried.pk)
        body["stepInfo"] = {"messageId": pk}
        named = error.get("headers", {}).get(ERROR_STEP_NAME)
        if named:
            body["stepInfo"]["stepName"] = named[0]


def _local_info(step: Step) -> StepInfoBody:
    return {"messageId": step_message_id(step.pk), "concurrent": 1, **recorded_details(step)}


def _invoking_info(invocation: Invocation) -> StepInfoBody:
    message_id = start_message_id(invocation.child_id)
    return {"messageId": message_id, "concurrent": 1, **invoking_details(invocation)}


def _waiting_info(waiter: Waiter) -> StepInfoBody:
    message_id = waiter_message_id(waiter.pk)
    return {"messageId": message_id, "concurrent": 1, **waiting_details(waiter)}


def _remote_info(row: Step | Waiter | Invocation) -> StepInfoBody:
    """Of a step as it was then, which its row alone tells."""
    steps = [row] if isinstance(row, Step) else []
    waiters = [row] if isinstance(row, Waiter) else []
    invocations = [row] if isinstance(row, Invocation) else []
    (step,) = program_of(steps, waiters, invocations)
    info: StepInfoBody = {"messageId": message_id(step), **step_details(step)}
    out = out_of(step) if step.result is not None else None
    return info if out is None else {**info, "out": out}
