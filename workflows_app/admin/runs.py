"""Runs in the admin: their list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from workflows_app.admin.displays import span, when
from workflows_app.admin.doing import Activity
from workflows_app.admin.forking import ForkAdmin
from workflows_app.admin.linked import label_tags
from workflows_app.admin.live import LiveRunAdmin
from workflows_app.admin.notifying import NotifyAdmin
from workflows_app.admin.request_builder import RequestBuilderAdmin
from workflows_app.admin.run_filters import (
    DateFilter,
    FlowControlFilter,
    LabelFilter,
    SourceFilter,
    StartedFilter,
    StateFilter,
    VersionFilter,
    WorkflowFilter,
)
from workflows_app.admin.run_pages import RunChangeList
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
from workflows_app.models import Run, RunLabel


@admin.register(Run)
class RunAdmin(RequestBuilderAdmin, ForkAdmin, NotifyAdmin, LiveRunAdmin, RunPageAdmin):
    workflow_path = "workflow"
    verbs = (CANCEL, ROLL_BACK, WAKE, PAUSE, RESUME, RESTART, DELETE)
    list_display = ("state", "run_name", "started", "doing", "attempts")
    list_display_links = None  # the labels beside the name are links of their own
    list_filter = (
        StateFilter,
        WorkflowFilter,
        VersionFilter,
        LabelFilter,
        StartedFilter,
        DateFilter,
        SourceFilter,
        FlowControlFilter,
        "account",
    )
    search_fields = ("run_id",)
    search_help_text = _("A run id, its beginning, or a label.")
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
        for found in (queryset.filter(run_id=term), queryset.filter(run_id__startswith=term)):
            if found.exists():
                return found, False
        labelled = RunLabel.objects.filter(name=term)
        return queryset.filter(pk__in=labelled.values("run")), False

    @admin.display(description=_("run"))
    def run_name(self, run: Any) -> SafeString:
        return format_html(
            '<a href="{}">{}<br><span class="wf-id">{}</span></a><br>{}',
            self.url_of("change", run.pk),
            run.workflow or run.url,
            run.run_id,
            label_tags(run, run.object_links, self.url_of("changelist")),
        )

    @admin.display(description=_("attempts"))
    def attempts(self, run: Any) -> str:
        """Those that failed; steps at which nothing did have one."""
        failed: int = run.failed_attempts
        return (
            ngettext("%(number)d failed", "%(number)d failed", failed) % {"number": failed}
            if failed
            else ""
        )

    @admin.display(description=_("state"))
    def state(self, run: Any) -> SafeString:
        activity: Activity = run.activity
        return activity.badge

    @admin.display(description=_("started, took"))
    def started(self, run: Run) -> SafeString:
        took = span((run.ended_at or clock.now()) - run.created_at)
        return format_html("{}<br>{}", when(run.created_at), took)

    @admin.display(description=_("where it is"))
    def doing(self, run: Any) -> SafeString:
        activity: Activity = run.activity
        countdown = activity.countdown
        return format_html('{} <span class="wf-quiet">{}</span>', activity.sentence, countdown)

    def describe(self, row: Run) -> str:
        return f"{row.workflow or row.url} {row.run_id}"
