"""Workflows as accounts see them, with their schedules, and the runs of their versions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from workflows_app.admin.cron_words import cron_in_words
from workflows_app.admin.displays import (
    NOTHING,
    Tone,
    badge,
    capped,
    changelist_link,
    row_link,
    when,
)
from workflows_app.admin.row_page import RowAdmin, RowPage, Table, known
from workflows_app.admin.schedules import state_of
from workflows_app.admin.versions import settings_of
from workflows_app.engine.definitions import is_terminating, version_in_force
from workflows_app.engine.schedules import next_slot_of
from workflows_app.engine.version_runs import (
    MOST_COUNTED,
    count_live_runs,
    count_runs,
    foreign_to_code,
)
from workflows_app.models import Definition, Run, Version
from workflows_app.sdk.authoring import registered_workflows

MOST_VERSIONS = 20
"""Of a workflow, on its page."""


class DeletionFilter(admin.SimpleListFilter):
    title = _lazy("state")
    parameter_name = "deleted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("no", _("Listed")), ("yes", _("Deleted"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Definition]
    ) -> QuerySet[Definition]:
        asked = self.value()
        return queryset.filter(deleted_at__isnull=asked == "no") if asked else queryset


@admin.register(Definition)
class DefinitionAdmin(RowAdmin):
    change_form_template = "admin/workflows_app/definition/change_form.html"
    workflow_path = "name"
    list_display = ("state", "name", "code", "account", "changed")
    list_display_links = ("name",)
    list_filter = (DeletionFilter, "account")
    list_select_related = ("account",)
    search_fields = ("name",)
    ordering = ("name", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Definition]:
        found: QuerySet[Definition] = super().get_queryset(request)
        newest = Version.objects.filter(definition=OuterRef("pk")).order_by("-pk")
        return found.annotate(
            class_in_force=Subquery(newest.values("class_name")[:1]),
            script_in_force=Subquery(newest.values("script_name")[:1]),
        )

    @admin.display(description=_lazy("state"))
    def state(self, definition: Definition) -> SafeString:
        return _state(definition)

    @admin.display(description=_lazy("class or function, and module"))
    def code(self, definition: Any) -> SafeString:
        return format_html(
            '{}<br><span class="wf-quiet">{}</span>',
            definition.class_in_force,
            definition.script_in_force,
        )

    @admin.display(description=_lazy("changed"), ordering="modified_at")
    def changed(self, definition: Definition) -> SafeString | str:
        return when(definition.modified_at)

    def context_of(self, request: HttpRequest, row: Definition) -> dict[str, Any]:
        runs = self.admin_site.get_model_admin(Run)
        seen = _Runs(row) if runs.has_view_permission(request) else None
        return {"page": _page_of(row, seen), "warning": seen and _warning(row, seen)}


class _Runs:
    """How many there are of each of the versions that the page lists."""

    def __init__(self, definition: Definition) -> None:
        newest = definition.versions.order_by("-pk").values_list("pk", flat=True)
        self.by_version = count_runs(list(newest[:MOST_VERSIONS]))
        self.live = count_live_runs(definition)
        self.foreign = sum(self.live[pk] for pk in foreign_to_code(definition, self.live))

    def cells(self, version: Version) -> list[Any]:
        number = capped(self.by_version.get(version.pk, 0), MOST_COUNTED)
        return [changelist_link(Run, number, version=version.pk), self.live[version.pk]]


def _warning(definition: Definition, seen: _Runs) -> str:
    number = seen.foreign
    if not number:
        return ""
    if definition.name not in registered_workflows():
        return ngettext(
            "%(number)d live run has no code here: register the workflow again, or cancel the run.",
            "%(number)d live runs have no code here: register the workflow again, or cancel them.",
            number,
        ) % {"number": number}
    return ngettext(
        "%(number)d live run follows a version that is not registered here. It goes on with the "
        "code that is; “manage.py workflows check” says whether it fits.",
        "%(number)d live runs follow a version that is not registered here. They go on with the "
        "code that is; “manage.py workflows check” says whether it fits.",
        number,
    ) % {"number": number}


def _page_of(row: Definition, seen: _Runs | None) -> RowPage:
    return RowPage(
        name=row.name,
        badge=_state(row),
        facts=known(
            [
                (_("Account"), row.account),
                (_("Id"), row.public_id),
                (_("Made"), when(row.created_at)),
                (_("Changed"), when(row.modified_at)),
                (_("Deleted"), row.deleted_at and when(row.deleted_at)),
                (_("Its runs are being cancelled"), is_terminating(row) and _("yes")),
                *settings_of(version_in_force(row)),
                (_("Runs"), changelist_link(Run, _("all of them"), workflow=row.name)),
            ]
        ),
        tables=[_schedules(row), _versions(row, seen)],
    )


def _state(definition: Definition) -> SafeString:
    if definition.deleted_at is not None:
        return badge(_("deleted"), Tone.QUIET)
    if definition.name not in registered_workflows():
        return badge(_("code is gone"), Tone.BAD)
    return badge(_("registered"), Tone.GOOD)


def _schedules(definition: Definition) -> Table:
    rows = [
        [
            row_link(each, each.cron),
            cron_in_words(each.cron) or NOTHING,
            state_of(each),
            when(each.last_slot_at),
            when(next_slot_of(each)),
            each.error or NOTHING,
        ]
        for each in definition.schedules.order_by("pk")
    ]
    head = (_("Cron"), _("In words"), _("State"), _("Last"), _("Next"), _("Could not start"))
    return Table(title=_("Schedules"), head=head, rows=rows)


def _versions(definition: Definition, seen: _Runs | None) -> Table:
    newest = definition.versions.order_by("-pk").defer("source", "graph")[:MOST_VERSIONS]
    rows = [
        [
            row_link(each, str(each.public_id)),
            when(each.created_at),
            each.class_name,
            each.digest[:12],
            ", ".join(f"{name}: {value}" for name, value in known(settings_of(each))) or NOTHING,
            *(seen.cells(each) if seen else ()),
        ]
        for each in newest
    ]
    head = (_("Id"), _("Made"), _("Class or function"), _("Digest"), _("Sets"))
    counts = (_("Runs"), _("Live")) if seen else ()
    return Table(title=_("Versions, newest first"), head=(*head, *counts), rows=rows)
