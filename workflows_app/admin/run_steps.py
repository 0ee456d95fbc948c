"""The steps of a run as a table: in the order of the journal, each with its attempts under it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from workflows_app.admin.asked import Asked
from workflows_app.admin.displays import run_link
from workflows_app.admin.run_attempts import AttemptRow, read_attempts
from workflows_app.admin.timeline import Timeline
from workflows_app.admin.timeline_local import Entry
from workflows_app.admin.values import ErrorShown, Shown, head, length, show, show_error
from workflows_app.engine.step_targets import may_be_target
from workflows_app.models import Run, Step
from workflows_app.protocol.faults import is_cancellation
from workflows_app.protocol.hiding import hidden_error, hidden_exchange, hidden_value
from workflows_app.protocol.redaction import SENSITIVE, Redactor, redactor_of

PER_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    pk: int
    """Of one of its rows in the journal."""
    key: str
    name: str
    branch: str
    kind: str
    tone: str
    """How it went, as a CSS class: done, failed, asleep, canceled."""
    started: str
    """After the start of the run; for a step of its origin the time of day."""
    took: str
    attempts: int
    input: Shown | None
    result: Shown | None
    error: ErrorShown | None
    ends: str
    """About a sleep that goes on, or a step that was cut short; else empty."""
    is_kept: bool
    """Whether it was taken over from the run that this one resumes."""
    failed: list[AttemptRow]
    answer: Shown | None = None
    """To a call whose result is not known yet."""
    moments: list[tuple[str, str]] = field(default_factory=list)
    """What became of it when, for a step in several messages."""
    child: SafeString | None = None
    """A link to the run that it invoked."""
    restart: str = ""
    """Where its run is restarted from it."""
    fork: str = ""
    """Where its run is forked from it."""

    @property
    def of(self) -> str:
        """What the ids of its parts on the page begin with."""
        return f"step-{self.pk or self.key}"

    @property
    def depth(self) -> int:
        return self.branch.count(".") + 1 if self.branch else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepList:
    rows: list[StepRow]
    total: int
    pages: int
    page: int
    """From 1; 0 when all are shown."""

    @property
    def first(self) -> int:
        return max(0, self.page - 1) * PER_PAGE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def page_range(self) -> range:
        return range(1, self.pages + 1)


def read_steps(
    run: Run, journal: Sequence[Entry], asked_page: str, url_of: Callable[..., str]
) -> StepList:
    # By their primary keys: asked for a few of one run's rows in order, PostgreSQL may walk through
    # the rows of all runs in order to find them.
    keys = [entry.pk for entry in journal]
    chosen, page, pages = choose_page(keys, asked_page)
    steps = _with_heads(run)
    if page:
        steps = steps.filter(pk__in=chosen)
    shown = list(steps)
    retried = [step.key for step in shown if step.attempts > 1 or step.error is not None]
    attempts, children = read_attempts(run, retried), _children(run, shown)
    table = _Table(run, attempts, children, url_of)
    rows = [table.row(step) for step in shown]
    return StepList(rows=rows, total=len(keys), page=page, pages=pages)


def details_of(keys: Sequence[int], page: int, asked: Asked) -> Callable[[int], str]:
    """Where steps are told of; `keys` are their primary keys in the order of the table, of which
    this page is shown.
    """
    pages = {pk: 1 + index // PER_PAGE for index, pk in enumerate(keys)}

    def details(pk: int) -> str:
        other = page and pages.get(pk, page) != page
        return f"{asked.to(steps=pages[pk]) if other else ''}#step-{pk}"

    return details


def _children(run: Run, steps: Sequence[Step]) -> dict[str, Run]:
    """The runs that the steps invoked, by their keys."""
    keys = [step.key for step in steps if step.kind == Step.Kind.INVOKE]
    if not keys:
        return {}
    invocations = run.invocations.filter(key__in=keys).select_related("child")
    return {each.key: each.child for each in invocations.defer("child__payload")}


def choose_page(keys: Sequence[int], asked: str) -> tuple[Sequence[int], int, int]:
    """The keys on the page that was asked for, its number, and how many there are; the number is 0
    when all are shown.
    """
    pages = max(1, -(-len(keys) // PER_PAGE))
    if asked == "all":
        return keys, 0, pages
    page = min(max(int(asked), 1), pages) if re.fullmatch("[0-9]{1,9}", asked) else 1
    return keys[(page - 1) * PER_PAGE : page * PER_PAGE], page, pages


def _with_heads(run: Run) -> Any:
    """The steps without what would be too much to show of their values; for hashes all of them is
    needed.
    """
    whole = redactor_of(run.redaction).hides_anything
    return (
        Step.objects.filter(run=run)
        .order_by("id")
        .annotate(
            input_head=F("input") if whole else head("input"),
            input_size=length("input"),
            result_head=F("result") if whole else head("result"),
            result_size=length("result"),
        )
        .defer("input", "result", "raw")
    )


class _Table:
    """Turns steps into rows, on the scale of the run's time: from its start to its end, or now."""

    def __init__(
        self,
        run: Run,
        attempts: dict[str, list[AttemptRow]],
        children: dict[str, Run],
        url_of: Callable[..., str],
    ) -> None:
        self.run = run
        self.redactor = redactor_of(run.redaction)
        self.timeline = Timeline(run)
        self.attempts = attempts
        self.url_of = url_of
        self.children = children

    def row(self, step: Any) -> StepRow:
        """`step` comes from `_with_heads`."""
        time, child = self.timeline, self.children.get(step.key)
        return StepRow(
            pk=step.pk,
            key=step.key,
            name=step.name,
            branch=step.branch,
            kind=step.kind,
            tone=self._tone(step),
            started=time.offset(step.started_at),
            took=time.took(step.started_at, step.ended_at),
            attempts=step.attempts,
            input=self._show(step, "input", step.input_head, step.input_size),
            result=self._result(step),
            error=self._error(step),
            ends=self._ends(step),
            is_kept=not time.has_begun_at(step.started_at),
            failed=self.attempts.get(step.key, []),
            child=None if child is None else run_link(child),
            restart=self._from(step, "restart_from"),
            fork=self._from(step, "fork"),
        )

    def _from(self, step: Step, page: str) -> str:
        return self.url_of(page, self.run.pk, step.pk) if may_be_target(step) else ""

    def _result(self, step: Any) -> Shown | None:
        if step.sensitive and step.error is None:
            return show(SENSITIVE)
        return self._show(step, "result", step.result_head, step.result_size)

    def _show(self, step: Step, field: str, text: str | None, size: int) -> Shown | None:
        shown = hidden_field(step.kind, text, self.redactor)
        if step.key in self.children:
            shown = hidden_value(shown, redactor_of(self.children[step.key].redaction))
        return show(shown, size, self.url_of("step_value", self.run.pk, step.pk, field))

    def _error(self, step: Step) -> ErrorShown | None:
        if is_cancellation(step.error):
            return None
        return show_error(hidden_error(step.error, self.redactor))

    def _ends(self, step: Step) -> str:
        if is_cancellation(step.error):
            return _("cancelled: another branch was first")
        return self.timeline.ends(step)

    def _tone(self, step: Step) -> str:
        if is_cancellation(step.error):
            return "canceled"
        if step.has_failed:
            return "failed"
        return "asleep" if step.kind == Step.Kind.SLEEP else "done"


def hidden_field(kind: str, text: str | None, redactor: Redactor) -> str | None:
    """The input or the result of a step; where its bodies may be seen, the headers of a call may
    not.
    """
    if kind == Step.Kind.CALL and not redactor.hides_bodies:
        return hidden_exchange(text, redactor)
    return hidden_value(text, redactor)
