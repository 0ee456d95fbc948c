"""Dead letters by what failed: workflow, error and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.displays import run_link, when
from workflows_app.admin.run_filters import OTHER_URLS, WorkflowFilter
from workflows_app.admin.values import show_error
from workflows_app.models import DeadLetter
from workflows_app.models.dead_letters import DeadLetterQuerySet
from workflows_app.protocol.hiding import hidden_error
from workflows_app.protocol.redaction import redactor_of

MOST_GROUPED = 100_000
MOST_GROUPS = 50
MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    number: int
    workflow: str
    """Or the URL of its newest run, which is of another service."""
    error: str
    step: str
    since: SafeString | str
    last: SafeString | str
    message: str
    newest: SafeString
    """A link to its newest run."""
    sample: int
    """The primary key of its newest entry."""
    query: str
    """What of the address finds its entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    rows: Sequence[Group]
    entries: int
    """How many these groups have in all."""
    is_capped: bool
    """Whether older entries have not been looked at."""
    most: int = MOST_GROUPED
    more: bool
    """Whether there are more groups than are shown."""


def read_groups(letters: DeadLetterQuerySet) -> Groups:
    """The largest first; in three queries, however many there are."""
    newest = letters.order_by("-pk").values_list("pk", flat=True)
    edge = list(newest[MOST_GROUPED : MOST_GROUPED + 1])
    looked_at = letters.filter(pk__gt=edge[0]) if edge else letters
    grouped = list(looked_at.by_failure()[: MOST_GROUPS + 1])
    shown = grouped[:MOST_GROUPS]
    named = letters.in_bulk([row[end] for row in shown for end in ("first", "last")])
    rows = [
        _group(row, named[row["first"]], named[row["last"]])
        for row in shown
        # Somebody may have dealt with them meanwhile.
        if row["first"] in named and row["last"] in named
    ]
    return Groups(
        rows=rows,
        entries=sum(group.number for group in rows),
        is_capped=bool(edge),
        more=len(grouped) > MOST_GROUPS,
    )


def _group(row: Mapping[str, Any], first: DeadLetter, last: DeadLetter) -> Group:
    return Group(
        number=row["number"],
        workflow=row["workflow"] or last.run.url,
        error=row["error_type"] or _("An error"),
        step=row["step"],
        since=when(first.created_at),
        last=when(last.created_at),
        message=message_of(last, MESSAGE_LENGTH),
        newest=run_link(last.run),
        sample=last.pk,
        query=urlencode(
            {
                "workflow": row["workflow"] or OTHER_URLS,
                "error": row["error_type"],
                "step": row["step"],
            }
        ),
    )


def message_of(letter: DeadLetter, length: int) -> str:
    """As far as it is to be seen."""
    error = show_error(hidden_error(letter.run.error, redactor_of(letter.run.redaction)))
    message = "" if error is None else error.message
    return message if len(message) <= length else f"{message[:length]}…"


class WorkflowOfLetter(WorkflowFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.value()
        return queryset.filter(workflow="" if name == OTHER_URLS else name) if name else queryset


class _ChosenFilter(admin.SimpleListFilter):
    """Offers what was chosen from a group, and to choose it no more."""

    column: str
    nothing: Any

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        chosen = request.GET.get(str(self.parameter_name))
        return [] if chosen is None else [(chosen, chosen or self.nothing)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()})


class ErrorFilter(_ChosenFilter):
    title = gettext_lazy("error")
    parameter_name = "error"
    column = "error_type"
    nothing = gettext_lazy("No known error")


class StepFilter(_ChosenFilter):
    title = gettext_lazy("step")
    parameter_name = "step"
    column = "step"
    nothing = gettext_lazy("The function itself")


class EntriesFilter(admin.SimpleListFilter):
    """Tells the list of all entries from their groups, by the address alone."""

    title = gettext_lazy("entries")
    parameter_name = "entries"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("all", _("All"))]

    def has_output(self) -> bool:
        return False

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset
