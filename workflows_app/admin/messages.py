"""Owed work in the admin: what the workers will do, and when."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin import owed
from workflows_app.admin.displays import NOTHING, linked_run_title, row_link
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.engine import clock
from workflows_app.models import Message


class DueFilter(admin.SimpleListFilter):
    title = _lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [
            ("due", _("Due, and nobody has it")),
            ("leased", _("Being delivered")),
            ("timed", _("Due later")),
            ("waiting", _("Waits to be woken")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        now = clock.now()
        match self.value():
            case "due":
                return queryset.filter(due_at__lte=now)
            case "leased":
                return queryset.filter(token__isnull=False, due_at__gt=now)
            case "timed":
                return queryset.filter(token__isnull=True, due_at__gt=now)
            case "waiting":
                return queryset.filter(due_at__isnull=True)
        return queryset


@admin.register(Message)
class MessageAdmin(VerbAdmin):
    workflow_path = "run__workflow"
    list_display = ("kind", "run_name", "step", "due", "lease", "claims", "flow_control")
    list_display_links = ("kind",)
    list_filter = (DueFilter, "kind")
    list_select_related = (
        *("run", "publication", "schedule__definition", "definition", "flow_control"),
    )
    search_fields = ("run__run_id__startswith",)
    search_help_text = _lazy("A run id or its beginning.")
    ordering = ("due_at", "id")
    # Not `request`: it may hold the credentials that a call is to send.
    fields = (
        *("kind", "run_name", "step", "flow_control"),
        *("due", "due_at", "lease", "claims", "wakes"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        messages: QuerySet[Message] = super().get_queryset(request)
        return messages.defer(
            *("request", "run__payload", "run__headers", "run__result"),
            *("publication__body", "publication__headers", "schedule__body", "schedule__headers"),
        )

    @admin.display(description=_lazy("of"))
    def run_name(self, message: Message) -> str:
        return owner(message)

    @admin.display(description=_lazy("step"))
    def step(self, message: Message) -> str:
        return message.key or NOTHING

    @admin.display(description=_lazy("due"))
    def due(self, message: Message) -> str:
        return owed.due(message, clock.now())

    @admin.display(description=_lazy("lease"))
    def lease(self, message: Message) -> str:
        return owed.lease(message, clock.now())


def owner(message: Message) -> SafeString | str:
    """The run, the plain message, the schedule or the workflow that it is owed to."""
    if message.run is not None:
        return linked_run_title(message.run)
    if message.publication is not None:
        publication = message.publication
        return format_html("{}<br>{}", publication.url, row_link(publication, str(publication)))
    if message.schedule is not None:
        schedule = message.schedule
        to = schedule.destination if schedule.definition is None else schedule.definition.name
        return format_html("{}<br>{}", to, row_link(schedule, str(schedule)))
    if message.definition is not None:
        return row_link(message.definition, message.definition.name)
    return NOTHING
