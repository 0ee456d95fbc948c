"""Where plain messages go through: queues and URL groups."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin.displays import (
    NOTHING,
    Tone,
    badge,
    changelist_link,
    when,
)
from workflows_app.admin.row_page import RowAdmin, RowPage, Table, show_headers, shown
from workflows_app.admin.verbs import PAUSE_QUEUE, RESUME_QUEUE
from workflows_app.engine import queues
from workflows_app.models import Publication, Queue, UrlGroup
from workflows_app.protocol.header_values import Redaction
from workflows_app.protocol.redaction import Redactor

_NOTHING_HIDDEN = Redactor(Redaction())


def _paused(queue: Queue) -> SafeString:
    return badge(_("paused"), Tone.QUIET) if queue.paused else badge(_("at work"), Tone.GOOD)


@admin.register(Queue)
class QueueAdmin(RowAdmin):
    linked_by = ("name",)
    verbs = (PAUSE_QUEUE, RESUME_QUEUE)
    list_display = ("state", "name", "parallelism", "lag", "account")
    list_display_links = ("name",)
    list_filter = ("paused", "account")
    list_select_related = ("account",)
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        found: QuerySet[Queue] = super().get_queryset(request)
        return found.annotate(waiting=Count("messages"))

    @admin.display(description=_lazy("state"))
    def state(self, queue: Queue) -> SafeString:
        return _paused(queue)

    @admin.display(description=_lazy("to deliver"))
    def lag(self, queue: Any) -> int:
        waiting: int = queue.waiting
        return waiting

    def page_of(self, row: Queue) -> RowPage:
        facts = [
            (_("Parallelism"), row.parallelism),
            (_("To deliver"), str(queues.lag(row))),
            (_("Account"), row.account),
            (_("Made"), when(row.created_at)),
            (_("Changed"), when(row.updated_at)),
            (
                _("Messages"),
                changelist_link(Publication, _("all of them"), queue__id__exact=row.pk),
            ),
        ]
        return RowPage(name=row.name, badge=_paused(row), facts=facts)


@admin.register(UrlGroup)
class UrlGroupAdmin(RowAdmin):
    linked_by = ("name",)
    list_display = ("name", "endpoint_urls", "account", "updated_at")
    list_filter = ("account",)
    list_select_related = ("account",)
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UrlGroup]:
        found: QuerySet[UrlGroup] = super().get_queryset(request)
        return found.prefetch_related("endpoints")

    @admin.display(description=_lazy("endpoints"))
    def endpoint_urls(self, group: UrlGroup) -> SafeString | str:
        urls = ((endpoint.url,) for endpoint in group.endpoints.all())
        return format_html_join("", "{}<br>", urls) or NOTHING

    def page_of(self, row: UrlGroup) -> RowPage:
        endpoints = [[each.name or NOTHING, each.url] for each in row.endpoints.order_by("id")]
        return RowPage(
            name=row.name,
            facts=[
                (_("Account"), row.account),
                (_("Made"), when(row.created_at)),
                (_("Changed"), when(row.updated_at)),
                (_("Messages"), changelist_link(Publication, _("all of them"), url_group=row.name)),
            ],
            values=shown([(_("Headers"), show_headers(row.headers, _NOTHING_HIDDEN))]),
            tables=[Table(title=_("Endpoints"), head=(_("Name"), _("URL")), rows=endpoints)],
        )
