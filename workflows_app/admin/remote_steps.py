"""The steps of a remote run as a table: what was published about one step is one row, in the order
of the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin.displays import ago, run_link
from workflows_app.admin.remote_values import RemoteValues, UrlOf
from workflows_app.admin.run_attempts import AttemptRow, Unfinished, awaited, read_attempts
from workflows_app.admin.run_steps import StepList, StepRow, choose_page
from workflows_app.admin.timeline import Timeline
from workflows_app.admin.values import MOST_SHOWN, length, show_error
from workflows_app.engine import clock
from workflows_app.engine.remote.reading import (
    START,
    ProgramStep,
    Progress,
    Situation,
    Standing,
    key_of,
    program_of,
)
from workflows_app.models import Attempt, Invocation, Message, Run, Step
from workflows_app.protocol.hiding import hidden_error
from workflows_app.protocol.published import kind_of_type
from workflows_app.protocol.redaction import redactor_of

MOST_READ = 16 * MOST_SHOWN
"""Bytes of a published step up to which its result is picked out; a longer one has a page of its
own.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSteps:
    steps: StepList
    situation: Situation
    deliveries: list[Unfinished]
    """Those that failed, other than of plans and of answers to calls, which belong to a step."""


def read_remote_steps(run: Run, asked_page: str, url_of: UrlOf) -> RemoteSteps:
    situation = _read_situation(run)
    chosen, page, pages = choose_page(range(len(situation.program)), asked_page)
    shown = [situation.program[index] for index in chosen]
    _read_what_was_published(shown)
    parts = [row.key for step in shown for row in step.rows if row is not step.result]
    table = _Table(situation, read_attempts(run, parts), url_of)
    return RemoteSteps(
        steps=StepList(
            rows=[table.row(step) for step in shown],
            total=len(situation.program),
            page=page,
            pages=pages,
        ),
        situation=situation,
        deliveries=_deliveries(situation),
    )


def _read_situation(run: Run) -> Situation:
    """Without what was published, which may be large."""
    steps = Step.objects.filter(run=run).order_by("pk").defer("raw")
    invocations = Invocation.objects.filter(parent=run).prefetch_related(
        Prefetch("child", Run.objects.defer("payload", "result"))
    )
    kinds = (Message.Kind.CALL, Message.Kind.DELIVERY)
    owed = Message.objects.filter(run=run, kind__in=kinds).defer("request")
    failed = Attempt.objects.filter(run=run, outcome=Attempt.Outcome.FAILED).defer("error")
    by_key: dict[str, list[Attempt]] = {}
    for attempt in failed.order_by("pk"):
        by_key.setdefault(attempt.key, []).append(attempt)
    return Situation(
        run=run,
        now=clock.now(),
        program=program_of(steps, run.waiters.all(), invocations),
        owed={message.key: message for message in owed},
        failed=by_key,
    )


def _read_what_was_published(steps: Sequence[ProgramStep]) -> None:
    rows = {row.pk: row for step in steps for row in step.rows}
    published = Step.objects.filter(pk__in=list(rows)).annotate(raw_size=length("raw"))
    for row in rows.values():
        row.raw = None
    for pk, raw in published.filter(raw_size__lte=MOST_READ).values_list("pk", "raw"):
        rows[pk].raw = raw


def _deliveries(situation: Situation) -> list[Unfinished]:
    run = situation.run
    names = {step.result.key: step.name for step in situation.program if step.result is not None}
    keys = [key for key in (START, *names) if situation.failed.get(key)]
    attempts = read_attempts(run, keys)
    coming = {key_of(element): standing for element, standing in situation.upcoming()}
    return [
        Unfinished(
            key=_("after %(step)s") % {"step": names[key]} if key else _("the start"),
            state=_delivery_state(run, coming.get(key)),
            failed=attempts[key],
        )
        for key in keys
        if attempts.get(key)
    ]


def _delivery_state(run: Run, standing: Standing | None) -> str:
    if standing is None:
        return _("went through later")
    if standing.progress == Progress.FAILED:
        return _("failed the run")
    return _("to be tried again") if run.is_live else _("never went through")


_TONES: Mapping[Progress, str] = {
    Progress.DONE: "done",
    Progress.UNDER_WAY: "asleep",
    Progress.RETRYING: "asleep",
    Progress.FAILED: "failed",
    Progress.CANCELED: "asleep",
}


class _Table:
    """Turns steps into rows, on the scale of the run's time."""

    def __init__(
        self, situation: Situation, attempts: dict[str, list[AttemptRow]], url_of: UrlOf
    ) -> None:
        self.situation = situation
        self.run = situation.run
        self.timeline = Timeline(self.run)
        self.attempts = attempts
        self.values = RemoteValues(self.run, url_of)

    def row(self, step: ProgramStep) -> StepRow:
        time, standing = self.timeline, self.situation.standing(step)
        began, ended = step.began_at, _ended_at(step, time.end)
        failed = [each for row in step.rows for each in self.attempts.get(row.key, [])]
        is_failed = standing.progress == Progress.FAILED
        error = hidden_error(self.run.error, redactor_of(self.run.redaction)) if is_failed else None
        newest = step.newest
        return StepRow(
            pk=newest.pk if newest is not None else 0,
            key=str(step.number) if step.number else "-",
            name=step.name or _("(unknown)"),
            branch=_("parallel") if step.plan is not None else "",
            kind=_kind(step),
            tone=_TONES[standing.progress],
            started=time.offset(began),
            took=time.took(began, ended),
            attempts=len(failed) + (not is_failed),
            input=self.values.input(step),
            answer=self.values.answer(step),
            result=self.values.result(step),
            error=show_error(error),
            ends=self._ends(step, standing.progress),
            is_kept=not time.has_begun_at(began),
            failed=failed,
            moments=_moments(step, time),
            child=_child(step),
        )

    def _ends(self, step: ProgramStep, progress: Progress) -> str:
        if progress == Progress.DONE:
            return ""
        row = step.newest
        if progress == Progress.CANCELED:
            ends = self.timeline.ends(row) if row is not None else ""
            return ends or _("never finished")
        if progress == Progress.RETRYING:
            return _next_attempt(self.situation.failed[row.key] if row is not None else [])
        if step.waiter is not None:
            return awaited(step.waiter, self.run)
        if step.invocation is not None:
            return _("waits for run %(id)s") % {"id": step.invocation.child.run_id}
        if progress == Progress.FAILED or row is None:
            return ""
        return self.timeline.ends(row) or str(_UNDER_WAY.get(row.kind, ""))


_UNDER_WAY: Mapping[str, Any] = {
    Step.Kind.PLAN: _lazy("at work, or about to be"),
    Step.Kind.CALL_SENT: _lazy("call under way"),
    Step.Kind.CALL_ANSWERED: _lazy("answered; the endpoint is being told"),
}


def _next_attempt(failed: Sequence[Attempt]) -> str:
    retry_at = failed[-1].retry_at if failed else None
    if retry_at is None:
        return _("to be tried again")
    return _("next attempt %(moment)s") % {"moment": ago(retry_at)}


def _ended_at(step: ProgramStep, otherwise: datetime) -> datetime:
    if step.result is not None:
        return step.result.ended_at
    plan = step.plan
    return max(plan.ended_at, otherwise) if plan is not None else otherwise


def _kind(step: ProgramStep) -> str:
    if step.result is not None and step.sent is None and step.answered is None:
        return step.result.kind
    return kind_of_type(step.type).value


def _moments(step: ProgramStep, time: Timeline) -> list[tuple[str, str]]:
    """Of a step in one message there is no more to tell than its row does."""
    rows = {_("planned"): step.plan, _("request"): step.sent, _("answer"): step.answered}
    found = {what: row.started_at for what, row in rows.items() if row is not None}
    if step.wait is not None:
        found[_("began to wait")] = step.wait.since
    if step.invocation is not None:
        found[_("invoked")] = step.invocation.created_at
    if step.result is not None:
        found[_("result")] = step.result.started_at
    moments = sorted(found.items(), key=lambda each: each[1])
    return [(what, time.offset(at)) for what, at in moments] if len(moments) > 1 else []


def _child(step: ProgramStep) -> SafeString | None:
    return None if step.invocation is None else run_link(step.invocation.child)
