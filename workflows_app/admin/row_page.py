"""Rows that are shown as facts, values and tables, and changed by verbs alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from workflows_app.admin.values import MOST_SHOWN, Shown, show, show_bytes
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.protocol.hiding import hidden_headers
from workflows_app.protocol.redaction import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Without rows it is not shown."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """Of texts, links and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    name: str
    badge: Any = ""
    labels: Sequence[str] = ()
    facts: Sequence[tuple[str, Any]] = ()
    values: Sequence[tuple[str, Shown]] = ()
    tables: Sequence[Table] = field(default_factory=list)


class RowAdmin(VerbAdmin):
    """`page_of` says what its page shows; `context_of`, when that depends on who asks for what, or
    when its template is another one.
    """

    change_form_template = "admin/workflows_app/row.html"

    def page_of(self, row: Any) -> RowPage:
        raise NotImplementedError

    def context_of(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"page": self.page_of(row)}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """None: the page is drawn by its own template."""
        return []

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            context |= {"title": capfirst(self.opts.verbose_name), "subtitle": None}
            try:
                context |= self.context_of(request, row)
            except ObjectDoesNotExist:
                if self.get_object(request, unquote(object_id)) is not None:
                    raise
                # Deleted meanwhile: Django says so.
        return super().change_view(request, object_id, form_url, context)


def known(facts: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Those that have a value."""
    return [(name, value) for name, value in facts if value not in (None, "", False)]


def shown(values: Iterable[tuple[str, Shown | None]]) -> list[tuple[str, Shown]]:
    """Those that there are."""
    return [(name, value) for name, value in values if value is not None]


def show_content(content: bytes, redactor: Redactor) -> Shown | None:
    """A body: its beginning, or its hash."""
    hidden = redactor.content(content)
    return show(hidden) if hidden else show_bytes(content[: MOST_SHOWN + 1], len(content), "")


def show_headers(text: str, redactor: Redactor) -> Shown | None:
    """A stored JSON object of headers."""
    return None if text in ("", "{}") else show(hidden_headers(text, redactor))
