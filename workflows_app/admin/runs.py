"""Runs in the admin: their list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows_app.admin.activity import activities_of
from workflows_app.admin.displays import run_title, span, when
from workflows_app.admin.doing import Activity
from workflows_app.admin.forking import ForkAdmin
from workflows_app.admin.live import LiveRunAdmin
from workflows_app.admin.notifying import NotifyAdmin
from workflows_app.admin.request_builder import RequestBuilderAdmin
from workflows_app.admin.run_filters import StartedFilter, StateFilter, WorkflowFilter
from workflows_app.admin.run_verbs import (
    CANCEL,
    DELETE,
    PAUSE,
    RESTART,
    RESUME,
    ROLL_BACK,
    WAKE,
)
from workflows_app.admin.run_views import RunPageAdmin
from workflows_app.engine import clock
from workflows_app.models import Account, Run, RunLabel


class RunChangeList(ChangeList):
    """Finds out what all runs of the page are doing at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        runs = list(self.result_list)
        activities = activities_of(runs)
        for run in runs:
            run.activity = activities[run.pk]
        self.result_list = runs


@admin.register(Run)
class RunAdmin(RequestBuilderAdmin, ForkAdmin, NotifyAdmin, LiveRunAdmin, RunPageAdmin):
    workflow_path = "workflow"
    verbs = (CANCEL, ROLL_BACK, WAKE, PAUSE, RESUME, RESTART, DELETE)
    list_display = ("state", "run_name", "started", "took", "doing")
    list_display_links = ("run_name",)
    list_filter = (StateFilter, WorkflowFilter, StartedFilter, "account")
    search_fields = ("run_id",)
    search_help_text = "A run id, its beginning, or a label."
    ordering = ("-id",)

    # -- the list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Without the columns that may be large; they are read where they are shown."""
        runs: QuerySet[Run] = super().get_queryset(request)
        return runs.defer("payload", "headers", "result").select_related("account")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """What matches best: the run of this id, else those it begins, else those it labels. One
        question at a time, since no index answers two of them joined by "or".
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        # The index by run id begins with the account.
        by_id = queryset.filter(account__in=list(Account.objects.all()))
        for found in (by_id.filter(run_id=term), by_id.filter(run_id__startswith=term)):
            if found.exists():
                return found, False
        labelled = RunLabel.objects.filter(name=term)
        return queryset.filter(pk__in=labelled.values("run")), False

    @admin.display(description="run")
    def run_name(self, run: Run) -> SafeString:
        return run_title(run)

    @admin.display(description="state")
    def state(self, run: Any) -> SafeString:
        activity: Activity = run.activity
        return activity.badge

    @admin.display(description="started")
    def started(self, run: Run) -> str:
        return when(run.created_at)

    @admin.display(description="took")
    def took(self, run: Run) -> str:
        return span((run.ended_at or clock.now()) - run.created_at)

    @admin.display(description="where it is")
    def doing(self, run: Any) -> SafeString:
        activity: Activity = run.activity
        countdown = activity.countdown
        return format_html('{} <span class="wf-quiet">{}</span>', activity.sentence, countdown)

    def describe(self, row: Run) -> str:
        return f"{row.workflow or row.url} {row.run_id}"
