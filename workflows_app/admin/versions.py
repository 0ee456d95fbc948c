"""Versions of workflows: what each sets, its graph, its source, and how it differs from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin.displays import NOTHING, changelist_link, row_link, span, when
from workflows_app.admin.graph_drawing import draw
from workflows_app.admin.input_filters import primary_key_in
from workflows_app.admin.row_page import RowAdmin, RowPage, known
from workflows_app.admin.source_diff import (
    MOST_LINES,
    CodeLine,
    difference,
    is_cut,
    source_lines,
)
from workflows_app.models import Run, Version

MOST_OTHERS = 50
"""Versions that one is offered to be compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a version differs from another one of its workflow."""

    other: Version
    link: SafeString
    lines: list[CodeLine]
    settings: list[tuple[str, Any, Any]]
    """Those that differ: the name, the other's, its own."""
    has_sources: bool


@admin.register(Version)
class VersionAdmin(RowAdmin):
    change_form_template = "admin/workflows_app/version/change_form.html"
    workflow_path = "definition__name"
    list_display = ("__str__", "definition", "script_name", "made")
    list_filter = ("definition__account",)
    list_select_related = ("definition",)
    search_fields = ("definition__name",)
    ordering = ("-id",)

    @admin.display(description=_lazy("made"), ordering="id")
    def made(self, version: Version) -> SafeString | str:
        return when(version.created_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Version]:
        """Without what its own page alone shows; there it is read when it is needed."""
        found: QuerySet[Version] = super().get_queryset(request)
        return found.select_related("definition__account").defer("source", "graph")

    def context_of(self, request: HttpRequest, row: Version) -> dict[str, Any]:
        others = self.get_queryset(request).filter(definition=row.definition_id)
        others = others.exclude(pk=row.pk).order_by("-pk")
        other = _chosen(others, request.GET.get("against", ""), row)
        return {
            "page": _page_of(row),
            "graph": draw(row.graph),
            "source": source_lines(row.source),
            "cut_after": MOST_LINES if is_cut(row.source) else None,
            "others": list(others[:MOST_OTHERS]),
            "comparison": None if other is None else _compared(other, row),
        }

    def page_of(self, row: Version) -> RowPage:
        return _page_of(row)


def settings_of(version: Version) -> list[tuple[str, Any]]:
    """What the version can set, with nothing for what it does not."""
    kept, kept_if_failed = version.success_retention, version.error_retention
    return [
        (_("Steps of a run, at most"), version.step_limit),
        (_("Runs at work at once"), version.parallelism),
        (_("Kept for"), kept is not None and (span(kept) or "0 s")),
        (_("Kept, if failed, for"), kept_if_failed is not None and (span(kept_if_failed) or "0 s")),
    ]


def _page_of(version: Version) -> RowPage:
    return RowPage(
        name=str(version.public_id),
        facts=known(
            [
                (_("Workflow"), row_link(version.definition, version.definition.name)),
                (_("Account"), version.definition.account),
                (_("Class or function"), version.class_name),
                (_("Module"), version.script_name),
                (_("Digest of the source"), version.digest),
                (_("Made"), when(version.created_at)),
                *settings_of(version),
                (_("Runs"), changelist_link(Run, _("all of them"), version=version.pk)),
            ]
        ),
    )


def _chosen(others: QuerySet[Version], asked: str, version: Version) -> Version | None:
    """The one that was asked for, else the one before it."""
    key = primary_key_in(asked)
    found = None if key is None else others.filter(pk=key).first()
    return found or others.filter(pk__lt=version.pk).first()


def _compared(other: Version, version: Version) -> Comparison:
    pairs = zip(settings_of(other), settings_of(version), strict=True)
    return Comparison(
        other=other,
        link=row_link(other, str(other)),
        lines=difference(other.source, version.source),
        settings=[
            (name, before or NOTHING, now or NOTHING)
            for (name, before), (_name, now) in pairs
            if before != now
        ],
        has_sources=bool(other.source and version.source),
    )
