"""Entries of the dead letter queue as callers see them, and which ones they mean (Upstash reference
1.5, 6.5).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from django.db.models import Q, QuerySet

from workflows_app.errors import DeadLetterNotFound
from workflows_app.models import Account, DeadLetter, FlowControl
from workflows_app.protocol.delivery_options import decode_options
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.ids import parse_dead_letter_id, start_message_id
from workflows_app.protocol.redaction import Redactor, redactor_of
from workflows_app.rest.pagination import Page
from workflows_app.rest.parameters import Parameters
from workflows_app.rest.upstash import run_filters
from workflows_app.rest.upstash.bodies import (
    CallbackBody,
    CallbackInfoBody,
    DeadLetterBody,
    DeadLettersBody,
    FlowControlBody,
    PayloadBody,
)
from workflows_app.rest.upstash.failings import read_failing
from workflows_app.rest.upstash.redacting import redacted
from workflows_app.rest.upstash.run_filters import RunFilter
from workflows_app.rest.upstash.run_logs import (
    add_callback_answer,
    add_labels,
    callback_state,
    callback_url,
)
from workflows_app.rest.upstash.vocabulary import (
    CALLBACK_STATES,
    base64_of,
    header_map,
    ours,
    text_of,
)

NAMES = ("dlqIds", "failureFunctionState", "responseStatus", "url", *run_filters.NAMES)
_ANSWERED = '"stack":"","status":'
"""Stands in a stored error only where it describes an HTTP answer (`protocol.faults`): inside a
text, JSON would have escaped the quotes.
"""


ANY_RUN = RunFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Empty means any. Dates are those of the entry, all else is about its run."""

    ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    statuses: tuple[int, ...] = ()
    callback_states: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    runs: RunFilter = ANY_RUN

    @classmethod
    def read(cls, given: Parameters) -> DeadLetterFilter:
        runs = RunFilter.read(given)
        states = given.texts("failureFunctionState")
        return cls(
            ids=given.texts("dlqIds"),
            since=runs.since,
            until=runs.until,
            statuses=given.numbers("responseStatus"),
            callback_states=ours("failureFunctionState", CALLBACK_STATES, states),
            urls=given.urls("url"),
            runs=replace(runs, since=None, until=None),
        )

    def letters_of(self, account: Account) -> QuerySet[DeadLetter]:
        letters = DeadLetter.objects.of(account).filter(self._conditions())
        if self.runs != ANY_RUN:
            letters = letters.filter(run__in=self.runs.runs_of(account))
        return named(letters, self.ids) if self.ids else letters

    def _conditions(self) -> Q:
        conditions = Q()
        if self.since is not None:
            conditions &= Q(created_at__gte=self.since)
        if self.until is not None:
            conditions &= Q(created_at__lt=self.until + timedelta(milliseconds=1))
        if self.callback_states:
            conditions &= Q(callback_state__in=self.callback_states)
        if self.urls:
            conditions &= Q(run__url__in=self.urls)
        answered = Q()
        for status in self.statuses:
            answered |= _answered(status)
        return conditions & answered


def named(letters: QuerySet[DeadLetter], public_ids: Collection[str]) -> QuerySet[DeadLetter]:
    """Those of these ids. What cannot be an id names nothing."""
    candidates = letters.filter(pk__in=list(filter(None, map(_number_in, public_ids))))
    found = [letter.pk for letter in candidates if letter.public_id in public_ids]
    return letters.filter(pk__in=found)


def _number_in(public_id: str) -> int | None:
    try:
        return parse_dead_letter_id(public_id)[1]
    except DeadLetterNotFound:
        return None


def _answered(status: int) -> Q:
    """What raised in a function of ours counts as the 500 that its endpoint would have answered."""
    exactly = Q(run__error__contains=f"{_ANSWERED}{status},")
    raised = ~Q(run__error__contains=_ANSWERED)
    return exactly | raised if status == HTTPStatus.INTERNAL_SERVER_ERROR else exactly


# -- rendering


def render_letters(page: Page[DeadLetter]) -> DeadLettersBody:
    body: DeadLettersBody = {"messages": list(map(render_letter, page.rows))}
    if page.cursor is not None:
        body["cursor"] = page.cursor
    return body


def render_letter(letter: DeadLetter) -> DeadLetterBody:
    """Without what is to be hidden. Its run and its run's flow control are to be there already."""
    return redacted(_render(letter), redactor_of(letter.run.redaction))


def _render(letter: DeadLetter) -> DeadLetterBody:
    run = letter.run
    failing = read_failing(run.error_info or {})
    created_at = unix_milliseconds(run.created_at)
    body: DeadLetterBody = {
        "dlqId": letter.public_id,
        "messageId": start_message_id(run.pk),
        "url": run.url,
        "method": "POST",
        "header": {"Content-Type": [run.content_type], **header_map(run.header_map)},
        "maxRetries": run.retries,
        "notBefore": created_at,
        "createdAt": created_at,
        "callerIP": run.caller_ip,
        "workflowRunId": run.run_id,
        "workflowCreatedAt": created_at,
        "workflowUrl": run.url,
        "responseStatus": failing.status,
        "responseHeader": failing.headers,
        "responseBody": failing.body,
    }
    _add_payload(body, bytes(run.payload), redactor_of(run.redaction))
    add_labels(body, run)
    _add_flow_control(body, run.flow_control)
    _add_callback(body, letter)
    if run.retry_delay:
        body["retryDelayExpression"] = run.retry_delay
    return body


def _add_payload(body: PayloadBody, payload: bytes, redactor: Redactor) -> None:
    text = redactor.content(payload) or text_of(payload)
    if text is None:
        body["bodyBase64"] = base64_of(payload)
    else:
        body["body"] = text


def _add_flow_control(body: FlowControlBody, control: FlowControl | None) -> None:
    if control is None or control.is_of_workflow:
        return
    body["flowControlKey"] = control.key
    if control.parallelism is not None:
        body["parallelism"] = control.parallelism
    if control.rate is not None:
        body["rate"] = control.rate
        body["period"] = int(control.period.total_seconds())


def _add_callback(body: CallbackBody, letter: DeadLetter) -> None:
    if not letter.callback_state:
        return
    info: CallbackInfoBody = {"state": callback_state(letter)}
    add_callback_answer(info, letter)
    body["failureCallback"] = callback_url(letter.run)
    headers = decode_options(letter.run.failure_options).headers
    if headers:
        body["failureCallbackHeader"] = header_map(headers)
    body["failureCallbackInfo"] = info
    body["failureFunctionState"] = info["state"]
