"""Plain messages in the admin: what was published, and what became of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from workflows_app.admin import owed
from workflows_app.admin.displays import (
    NOTHING,
    Tone,
    badge,
    changelist_link,
    clock_time,
    span,
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
from workflows_app.admin.verbs import CANCEL_PUBLICATION, DISMISS, RETRY_PUBLICATION
from workflows_app.engine import clock
from workflows_app.models import (
    Message,
    Publication,
    PublicationEvent,
    Queue,
    Schedule,
    UrlGroup,
)
from workflows_app.protocol.redaction import redactor_of

MOST_EVENTS = 200
"""How many lines of its log a page shows, the newest."""

_TONES = {
    Publication.Status.WAITING: Tone.WAITING,
    Publication.Status.DELIVERED: Tone.GOOD,
    Publication.Status.FAILED: Tone.BAD,
    Publication.Status.DISMISSED: Tone.QUIET,
    Publication.Status.CANCELED: Tone.QUIET,
}


@admin.register(Publication)
class PublicationAdmin(RowAdmin):
    linked_by = ("url_group", "schedule_id")
    verbs = (CANCEL_PUBLICATION, RETRY_PUBLICATION, DISMISS)
    list_display = ("state", "message", "published", "queue", "labelled")
    list_display_links = ("message",)
    list_filter = ("status", "account")
    list_select_related = ("account", "queue")
    search_fields = ("public_id__startswith",)
    search_help_text = _lazy("A message id or its beginning.")
    ordering = ("-id",)

    # -- the list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Publication]:
        publications: QuerySet[Publication] = super().get_queryset(request)
        return publications.defer("body")

    @admin.display(description=_lazy("state"))
    def state(self, publication: Publication) -> SafeString:
        return publication_badge(publication)

    @admin.display(description=_lazy("message"))
    def message(self, publication: Publication) -> SafeString:
        return format_html(
            '{} {}<br><span class="wf-id">{}</span>',
            publication.method,
            publication.url,
            publication.public_id,
        )

    @admin.display(description=_lazy("published"))
    def published(self, publication: Publication) -> SafeString | str:
        return when(publication.created_at)

    @admin.display(description=_lazy("labels"))
    def labelled(self, publication: Publication) -> str:
        return ", ".join(publication.label_list) or NOTHING

    def describe(self, row: Publication) -> str:
        return f"{row.public_id}: {row.method} {row.url}"

    # -- one message

    def page_of(self, row: Publication) -> RowPage:
        redactor = redactor_of(row.redaction)
        return RowPage(
            name=row.public_id,
            badge=publication_badge(row),
            labels=row.label_list,
            facts=_facts(row),
            values=shown(
                [
                    (_("Body"), show_content(bytes(row.body), redactor)),
                    (_("Headers"), show_headers(row.headers, redactor)),
                ]
            ),
            tables=[_log(row)],
        )


def publication_badge(publication: Publication) -> SafeString:
    status = Publication.Status(publication.status)
    return badge(publication.get_status_display().lower(), _TONES[status])


def _facts(publication: Publication) -> list[tuple[str, Any]]:
    owing = Message.objects.filter(publication=publication).defer("request").first()
    retries = str(publication.retries)
    if publication.retry_delay:
        retries = f"{retries}, delayed by {publication.retry_delay} ms"
    return known(
        [
            (_("URL"), f"{publication.method} {publication.url}"),
            (_("Published"), when(publication.created_at)),
            (_("Next delivery"), owing and owed.due(owing, clock.now())),
            (_("Ended"), publication.ended_at and when(publication.ended_at)),
            (_("Account"), publication.account),
            (_("Retries"), retries),
            (_("Timeout"), publication.timeout and span(publication.timeout)),
            (_("Flow control"), publication.flow_control),
            (_("Queue"), _link(Queue, "name", publication.queue.name if publication.queue else "")),
            (_("URL group"), _link(UrlGroup, "name", publication.url_group)),
            (_("Endpoint"), publication.endpoint_name),
            (_("Schedule"), _link(Schedule, "public_id", publication.schedule_id)),
            (_("Callback URL"), publication.callback_url),
            (_("Failure URL"), publication.failure_url),
            (_("Caller"), publication.caller_ip),
            (_("Redacted"), publication.redaction),
        ]
    )


def _link(model: type[Model], column: str, value: str) -> SafeString | None:
    return changelist_link(model, value, **{column: value}) if value else None


def _log(publication: Publication) -> Table:
    events = reversed(publication.events.order_by("-id")[:MOST_EVENTS])
    return Table(
        title=_("Log"),
        head=(_("State"), _("When"), _("Error"), _("Status"), _("Answer"), _("Next attempt")),
        rows=[_line(event, publication) for event in events],
    )


def _line(event: PublicationEvent, publication: Publication) -> list[Any]:
    redactor = redactor_of(publication.redaction)
    answer = None
    if event.response_body:
        answer = show_content(bytes(event.response_body), redactor)
    return [
        event.state,
        when(event.at),
        event.error or NOTHING,
        NOTHING if event.response_status is None else event.response_status,
        answer or NOTHING,
        NOTHING if event.next_attempt_at is None else clock_time(event.next_attempt_at),
    ]
