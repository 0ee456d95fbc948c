"""Workflows as accounts see them, their versions, and what each version sets."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows_app.admin.displays import (
    NOTHING,
    Tone,
    badge,
    changelist_link,
    row_link,
    span,
    when,
)
from workflows_app.admin.row_page import RowAdmin, RowPage, Table, known, shown
from workflows_app.admin.values import show
from workflows_app.engine.definitions import is_terminating, version_in_force
from workflows_app.engine.schedules import next_slot_of
from workflows_app.models import Definition, Run, Version
from workflows_app.sdk.authoring import registered_workflows

MOST_VERSIONS = 20
"""Of a workflow, on its page."""


class DeletionFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "deleted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("no", "Listed"), ("yes", "Deleted")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Definition]
    ) -> QuerySet[Definition]:
        asked = self.value()
        return queryset.filter(deleted_at__isnull=asked == "no") if asked else queryset


@admin.register(Definition)
class DefinitionAdmin(RowAdmin):
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

    @admin.display(description="state")
    def state(self, definition: Definition) -> SafeString:
        return _state(definition)

    @admin.display(description="class or function, and module")
    def code(self, definition: Any) -> SafeString:
        return format_html(
            '{}<br><span class="wf-quiet">{}</span>',
            definition.class_in_force,
            definition.script_in_force,
        )

    @admin.display(description="changed", ordering="modified_at")
    def changed(self, definition: Definition) -> SafeString | str:
        return when(definition.modified_at)

    def page_of(self, row: Definition) -> RowPage:
        return RowPage(
            name=row.name,
            badge=_state(row),
            facts=known(
                [
                    ("Account", row.account),
                    ("Id", row.public_id),
                    ("Made", when(row.created_at)),
                    ("Changed", when(row.modified_at)),
                    ("Deleted", row.deleted_at and when(row.deleted_at)),
                    ("Its runs are being cancelled", is_terminating(row) and "yes"),
                    *_settings(version_in_force(row)),
                    ("Runs", changelist_link(Run, "all of them", workflow=row.name)),
                ]
            ),
            tables=[_schedules(row), _versions(row)],
        )


@admin.register(Version)
class VersionAdmin(RowAdmin):
    workflow_path = "definition__name"
    list_display = ("__str__", "definition", "script_name", "made")
    list_filter = ("definition__account",)
    list_select_related = ("definition",)
    search_fields = ("definition__name",)
    ordering = ("-id",)

    @admin.display(description="made", ordering="id")
    def made(self, version: Version) -> SafeString | str:
        return when(version.created_at)

    def page_of(self, row: Version) -> RowPage:
        return RowPage(
            name=str(row.public_id),
            facts=known(
                [
                    ("Workflow", row_link(row.definition, row.definition.name)),
                    ("Account", row.definition.account),
                    ("Class or function", row.class_name),
                    ("Module", row.script_name),
                    ("Digest of the source", row.digest),
                    ("Made", when(row.created_at)),
                    *_settings(row),
                ]
            ),
            values=shown([("Graph", show(row.graph))]),
        )


def _state(definition: Definition) -> SafeString:
    if definition.deleted_at is not None:
        return badge("deleted", Tone.QUIET)
    if definition.name not in registered_workflows():
        return badge("code is gone", Tone.BAD)
    return badge("registered", Tone.GOOD)


def _settings(version: Version) -> list[tuple[str, Any]]:
    """What the version sets; what it does not is left out."""
    kept, kept_if_failed = version.success_retention, version.error_retention
    return [
        ("Steps of a run, at most", version.step_limit),
        ("Runs at work at once", version.parallelism),
        ("Kept for", kept is not None and (span(kept) or "0 s")),
        ("Kept, if failed, for", kept_if_failed is not None and (span(kept_if_failed) or "0 s")),
    ]


def _schedules(definition: Definition) -> Table:
    rows = [
        [
            row_link(each, each.cron),
            when(each.last_slot_at),
            when(next_slot_of(each)),
            each.error or NOTHING,
        ]
        for each in definition.schedules.order_by("pk")
    ]
    return Table(title="Schedules", head=("Cron", "Last", "Next", "Could not start"), rows=rows)


def _versions(definition: Definition) -> Table:
    newest = definition.versions.order_by("-pk")[:MOST_VERSIONS]
    rows = [
        [
            row_link(each, str(each.public_id)),
            when(each.created_at),
            each.class_name,
            each.digest[:12],
            ", ".join(f"{name}: {value}" for name, value in known(_settings(each))) or NOTHING,
        ]
        for each in newest
    ]
    head = ("Id", "Made", "Class or function", "Digest", "Sets")
    return Table(title="Versions, newest first", head=head, rows=rows)
