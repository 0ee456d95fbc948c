"""What runs wait for: events, and the ends of other runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.activity import activity_of
from workflows_app.admin.displays import Tone, badge, linked_run_title, run_link, when
from workflows_app.admin.lists import Lists
from workflows_app.admin.notifying import WAITS_FOR_WEBHOOK, SendAdmin, is_webhook
from workflows_app.admin.row_page import RowPage, show_content, shown
from workflows_app.admin.values import show
from workflows_app.admin.waiting_tabs import IN_BRIEF, OpenFilter, WaitingAdmin, rows_of
from workflows_app.models import Event, Invocation, Waiter
from workflows_app.protocol.redaction import redactor_of


class WaitsForFilter(admin.SimpleListFilter):
    title = _("what is waited for")
    parameter_name = "for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [("event", _("Events")), ("webhook", _("Webhooks"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "webhook":
                return queryset.filter(WAITS_FOR_WEBHOOK)
            case "event":
                return queryset.exclude(WAITS_FOR_WEBHOOK)
        return queryset


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A row of a list that is told in brief."""

    name: str
    cells: Sequence[Any]


def _brief_event(event: Event) -> Brief:
    return Brief(name=event.event_id, cells=[linked_run_title(event.run), when(event.created_at)])


def _brief_invocation(each: Invocation) -> Brief:
    invoker = format_html("{} {}", linked_run_title(each.parent), each.key)
    return Brief(name=each.child.run_id, cells=[invoker, when(each.created_at)])


def _newest(lists: Lists, model: type[Any]) -> list[Any]:
    runs = ("run",) if model is Event else ("parent", "child")
    return list(rows_of(lists, model).select_related(*runs).order_by("-pk")[:IN_BRIEF])


@admin.register(Waiter)
class WaiterAdmin(SendAdmin, WaitingAdmin):
    """The page of all that is waited for: the other lists are told in brief under it."""

    workflow_path = "run__workflow"
    list_display = ("event", "run_name", "step_key", "since", "gives_up")
    list_display_links = ("event",)
    list_select_related = ("run",)
    list_filter = (WaitsForFilter, "account")
    search_fields = ("event_id__startswith", "run__run_id__startswith")
    search_help_text = _("The beginning of an event id or of a run id.")
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Waiter]:
        waiters: QuerySet[Waiter] = super().get_queryset(request)
        return waiters.defer("run__payload", "run__headers", "run__result")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.list_display, "send") if self.may_send(request) else self.list_display

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        lists = Lists(self.admin_site, request)
        brief = {
            "send_url": self.url_of("send") if self.may_send(request) else "",
            "events": [_brief_event(each) for each in _newest(lists, Event)],
            "invocations": [_brief_invocation(each) for each in _newest(lists, Invocation)],
        }
        return super().changelist_view(request, {**brief, **(extra_context or {})})

    @admin.display(description=_("event"))
    def event(self, waiter: Waiter) -> SafeString:
        kind = badge(gettext("webhook"), Tone.QUIET) if is_webhook(waiter) else ""
        return format_html('<span class="wf-text">{}</span> {}', waiter.event_id, kind)

    @admin.display(description=_("answer"))
    def send(self, waiter: Waiter) -> SafeString:
        query = urlencode({"event": waiter.event_id, "account": waiter.account_id})
        return format_html(
            '<a href="{}?{}">{}</a>', self.url_of("send"), query, gettext("Send event…")
        )

    @admin.display(description=_("run"))
    def run_name(self, waiter: Waiter) -> SafeString:
        return linked_run_title(waiter.run)

    @admin.display(description=_("step"))
    def step_key(self, waiter: Waiter) -> str:
        return waiter.key

    @admin.display(description=_("waits since"))
    def since(self, waiter: Waiter) -> SafeString | str:
        return when(waiter.created_at)

    @admin.display(description=_("gives up"))
    def gives_up(self, waiter: Waiter) -> SafeString | str:
        return when(waiter.deadline)

    def page_of(self, row: Waiter) -> RowPage:
        return RowPage(
            name=row.event_id,
            facts=[
                (gettext("Run"), run_link(row.run)),
                (gettext("Step"), row.key),
                (gettext("Waits since"), when(row.created_at)),
                (gettext("Gives up"), when(row.deadline)),
                (gettext("Account"), row.account),
            ],
            values=shown([(gettext("The step, as it will be completed"), show(row.step))]),
        )


@admin.register(Event)
class EventAdmin(WaitingAdmin):
    workflow_path = "run__workflow"
    list_display = ("event_id", "run_name", "came")
    list_select_related = ("run",)
    search_fields = ("event_id__startswith", "run__run_id__startswith")
    search_help_text = _("The beginning of an event id or of a run id.")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events: QuerySet[Event] = super().get_queryset(request)
        return events.defer("data", "run__payload", "run__headers", "run__result")

    @admin.display(description=_("run"))
    def run_name(self, event: Event) -> SafeString:
        return linked_run_title(event.run)

    @admin.display(description=_("came"))
    def came(self, event: Event) -> SafeString | str:
        return when(event.created_at)

    def page_of(self, row: Event) -> RowPage:
        return RowPage(
            name=row.event_id,
            facts=[(gettext("Run"), run_link(row.run)), (gettext("Came"), when(row.created_at))],
            values=shown(
                [(gettext("Data"), show_content(bytes(row.data), redactor_of(row.run.redaction)))]
            ),
        )


@admin.register(Invocation)
class InvocationAdmin(WaitingAdmin):
    workflow_path = "parent__workflow"
    list_display = ("invoked", "state", "invoker", "step_key", "since")
    list_display_links = ("since",)
    list_select_related = ("parent", "child")
    list_filter = (OpenFilter,)
    search_fields = ("parent__run_id__startswith", "child__run_id__startswith")
    search_help_text = _("The id of either run or its beginning.")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invocation]:
        invocations: QuerySet[Invocation] = super().get_queryset(request)
        large = ("payload", "headers", "result")
        return invocations.defer(
            *(f"parent__{name}" for name in large), *(f"child__{name}" for name in large)
        )

    @admin.display(description=_("invoked run"))
    def invoked(self, invocation: Invocation) -> SafeString:
        return linked_run_title(invocation.child)

    @admin.display(description=_("state"))
    def state(self, invocation: Invocation) -> str:
        return str(invocation.child.get_status_display()).lower()

    @admin.display(description=_("by"))
    def invoker(self, invocation: Invocation) -> SafeString:
        return linked_run_title(invocation.parent)

    @admin.display(description=_("step"))
    def step_key(self, invocation: Invocation) -> str:
        return invocation.key

    @admin.display(description=_("since"))
    def since(self, invocation: Invocation) -> SafeString | str:
        return when(invocation.created_at)

    def page_of(self, row: Invocation) -> RowPage:
        facts: list[tuple[str, Any]] = [
            (gettext("Invoked by"), run_link(row.parent)),
            (gettext("Step"), row.key),
            (gettext("Since"), when(row.created_at)),
        ]
        return RowPage(
            name=row.child.run_id,
            badge=activity_of(row.child).badge,
            facts=[(gettext("Run"), run_link(row.child)), *facts],
            values=shown([(gettext("The step, as it will be completed"), show(row.step))]),
        )
