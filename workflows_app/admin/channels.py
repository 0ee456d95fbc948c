"""Where plain messages go through and come from: queues, URL groups and schedules."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from workflows_app.admin.displays import (
    NOTHING,
    Tone,
    badge,
    changelist_link,
    row_link,
    when,
)
from workflows_app.admin.row_page import (
    RowAdmin,
    RowPage,
    Table,
    known,
    show_content,
    show_headers,
    shown,
)
from workflows_app.admin.values import Shown, show
from workflows_app.admin.verbs import (
    PAUSE_QUEUE,
    PAUSE_SCHEDULE,
    RESUME_QUEUE,
    RESUME_SCHEDULE,
)
from workflows_app.engine import queues, schedules
from workflows_app.engine.schedules import next_slot_of
from workflows_app.models import Publication, Queue, Schedule, UrlGroup
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.header_values import Redaction
from workflows_app.protocol.redaction import Redactor

_NOTHING_HIDDEN = Redactor(Redaction())


def _paused(row: Queue | Schedule) -> SafeString:
    return badge("paused", Tone.QUIET) if row.paused else badge("at work", Tone.GOOD)


@admin.register(Queue)
class QueueAdmin(RowAdmin):
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

    @admin.display(description="state")
    def state(self, queue: Queue) -> SafeString:
        return _paused(queue)

    @admin.display(description="to deliver")
    def lag(self, queue: Any) -> int:
        waiting: int = queue.waiting
        return waiting

    def page_of(self, row: Queue) -> RowPage:
        facts = [
            ("Parallelism", row.parallelism),
            ("To deliver", str(queues.lag(row))),
            ("Account", row.account),
            ("Made", when(row.created_at)),
            ("Changed", when(row.updated_at)),
            ("Messages", changelist_link(Publication, "all of them", queue__id__exact=row.pk)),
        ]
        return RowPage(name=row.name, badge=_paused(row), facts=facts)


@admin.register(UrlGroup)
class UrlGroupAdmin(RowAdmin):
    list_display = ("name", "endpoint_urls", "account", "updated_at")
    list_filter = ("account",)
    list_select_related = ("account",)
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UrlGroup]:
        found: QuerySet[UrlGroup] = super().get_queryset(request)
        return found.prefetch_related("endpoints")

    @admin.display(description="endpoints")
    def endpoint_urls(self, group: UrlGroup) -> SafeString | str:
        urls = ((endpoint.url,) for endpoint in group.endpoints.all())
        return format_html_join("", "{}<br>", urls) or NOTHING

    def page_of(self, row: UrlGroup) -> RowPage:
        endpoints = [[each.name or NOTHING, each.url] for each in row.endpoints.order_by("id")]
        return RowPage(
            name=row.name,
            facts=[
                ("Account", row.account),
                ("Made", when(row.created_at)),
                ("Changed", when(row.updated_at)),
                ("Messages", changelist_link(Publication, "all of them", url_group=row.name)),
            ],
            values=shown([("Headers", show_headers(row.headers, _NOTHING_HIDDEN))]),
            tables=[Table(title="Endpoints", head=("Name", "URL"), rows=endpoints)],
        )


@admin.register(Schedule)
class ScheduleAdmin(RowAdmin):
    verbs = (PAUSE_SCHEDULE, RESUME_SCHEDULE)
    list_display = ("state", "public_id", "cron", "goes_to", "last_slot", "next_slot")
    list_display_links = ("public_id",)
    list_filter = ("paused", "account")
    list_select_related = ("account", "definition")
    search_fields = ("public_id", "destination", "definition__name")
    ordering = ("-id",)

    @admin.display(description="state")
    def state(self, schedule: Schedule) -> SafeString:
        return _paused(schedule)

    @admin.display(description="destination, or workflow")
    def goes_to(self, schedule: Schedule) -> str:
        return schedule.destination if schedule.definition is None else schedule.definition.name

    @admin.display(description="last")
    def last_slot(self, schedule: Schedule) -> SafeString | str:
        return when(schedule.last_slot_at)

    @admin.display(description="next")
    def next_slot(self, schedule: Schedule) -> SafeString | str:
        return when(next_slot_of(schedule))

    def page_of(self, row: Schedule) -> RowPage:
        """What its publications hide is hidden here too."""
        redactor = Redactor(schedules.options_of(row).redaction or Redaction())
        return RowPage(
            name=row.public_id,
            badge=_paused(row),
            facts=known(
                [
                    ("Cron", row.cron),
                    ("Destination", row.destination),
                    ("Starts", row.definition and row_link(row.definition, row.definition.name)),
                    ("Queue", row.queue),
                    ("Last", when(row.last_slot_at)),
                    ("Next", when(next_slot_of(row))),
                    ("Goes wrong", row.error),
                    ("Made", when(row.created_at)),
                    ("Account", row.account),
                    ("Caller", row.caller_ip),
                    ("Messages", row.definition is None and _published_by(row)),
                ]
            ),
            values=shown(
                [
                    ("Body", show_content(bytes(row.body), redactor)),
                    ("Headers", _headers(row, redactor)),
                ]
            ),
        )


def _headers(schedule: Schedule, redactor: Redactor) -> Shown | None:
    """As they were given: those that are forwarded have a prefix."""
    said: dict[str, str] = {}
    for name, value in schedule.header_map.items():
        _, is_forwarded, own = name.rpartition("forward-")
        said[name] = redactor.header_texts({own: value})[own] if is_forwarded else value
    return show(encode_json(said)) if said else None


def _published_by(schedule: Schedule) -> SafeString:
    return changelist_link(Publication, "all of them", schedule_id=schedule.public_id)
