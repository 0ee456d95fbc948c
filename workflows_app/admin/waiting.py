"""What runs wait for: events, and the ends of other runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from workflows_app.admin.activity import activity_of
from workflows_app.admin.displays import linked_run_title, run_link, when
from workflows_app.admin.notifying import SendAdmin
from workflows_app.admin.row_page import RowAdmin, RowPage, show_content, shown
from workflows_app.admin.values import show
from workflows_app.models import Event, Invocation, Waiter
from workflows_app.protocol.redaction import redactor_of


@admin.register(Waiter)
class WaiterAdmin(SendAdmin, RowAdmin):
    workflow_path = "run__workflow"
    list_display = ("event_id", "run_name", "step_key", "since", "gives_up")
    list_select_related = ("run",)
    list_filter = ("account",)
    search_fields = ("event_id__startswith", "run__run_id__startswith")
    search_help_text = "The beginning of an event id or of a run id."
    ordering = ("deadline",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Waiter]:
        waiters: QuerySet[Waiter] = super().get_queryset(request)
        return waiters.defer("run__payload", "run__headers", "run__result")

    @admin.display(description="run")
    def run_name(self, waiter: Waiter) -> SafeString:
        return linked_run_title(waiter.run)

    @admin.display(description="step")
    def step_key(self, waiter: Waiter) -> str:
        return waiter.key

    @admin.display(description="waits since")
    def since(self, waiter: Waiter) -> SafeString | str:
        return when(waiter.created_at)

    @admin.display(description="gives up")
    def gives_up(self, waiter: Waiter) -> SafeString | str:
        return when(waiter.deadline)

    def page_of(self, row: Waiter) -> RowPage:
        return RowPage(
            name=row.event_id,
            facts=[
                ("Run", run_link(row.run)),
                ("Step", row.key),
                ("Waits since", when(row.created_at)),
                ("Gives up", when(row.deadline)),
                ("Account", row.account),
            ],
            values=shown([("The step, as it will be completed", show(row.step))]),
        )


@admin.register(Event)
class EventAdmin(RowAdmin):
    workflow_path = "run__workflow"
    list_display = ("event_id", "run_name", "came")
    list_select_related = ("run",)
    search_fields = ("event_id__startswith", "run__run_id__startswith")
    search_help_text = "The beginning of an event id or of a run id."
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events: QuerySet[Event] = super().get_queryset(request)
        return events.defer("data", "run__payload", "run__headers", "run__result")

    @admin.display(description="run")
    def run_name(self, event: Event) -> SafeString:
        return linked_run_title(event.run)

    @admin.display(description="came")
    def came(self, event: Event) -> SafeString | str:
        return when(event.created_at)

    def page_of(self, row: Event) -> RowPage:
        return RowPage(
            name=row.event_id,
            facts=[("Run", run_link(row.run)), ("Came", when(row.created_at))],
            values=shown([("Data", show_content(bytes(row.data), redactor_of(row.run.redaction)))]),
        )


@admin.register(Invocation)
class InvocationAdmin(RowAdmin):
    workflow_path = "parent__workflow"
    list_display = ("invoked", "state", "invoker", "step_key", "since")
    list_display_links = ("since",)
    list_select_related = ("parent", "child")
    search_fields = ("parent__run_id__startswith", "child__run_id__startswith")
    search_help_text = "The id of either run or its beginning."
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invocation]:
        invocations: QuerySet[Invocation] = super().get_queryset(request)
        large = ("payload", "headers", "result")
        return invocations.defer(
            *(f"parent__{name}" for name in large), *(f"child__{name}" for name in large)
        )

    @admin.display(description="invoked run")
    def invoked(self, invocation: Invocation) -> SafeString:
        return linked_run_title(invocation.child)

    @admin.display(description="state")
    def state(self, invocation: Invocation) -> str:
        return str(invocation.child.get_status_display()).lower()

    @admin.display(description="by")
    def invoker(self, invocation: Invocation) -> SafeString:
        return linked_run_title(invocation.parent)

    @admin.display(description="step")
    def step_key(self, invocation: Invocation) -> str:
        return invocation.key

    @admin.display(description="since")
    def since(self, invocation: Invocation) -> SafeString | str:
        return when(invocation.created_at)

    def page_of(self, row: Invocation) -> RowPage:
        facts: list[tuple[str, Any]] = [
            ("Invoked by", run_link(row.parent)),
            ("Step", row.key),
            ("Since", when(row.created_at)),
        ]
        return RowPage(
            name=row.child.run_id,
            badge=activity_of(row.child).badge,
            facts=[("Run", run_link(row.child)), *facts],
            values=shown([("The step, as it will be completed", show(row.step))]),
        )
