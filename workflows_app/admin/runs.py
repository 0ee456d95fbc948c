"""Runs in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows_app.admin import run_page
from workflows_app.admin.activity import activities_of
from workflows_app.admin.displays import run_title, span, when
from workflows_app.admin.doing import Activity
from workflows_app.admin.run_filters import StartedFilter, StateFilter, WorkflowFilter
from workflows_app.admin.run_verbs import (
    CANCEL,
    PAUSE,
    RESTART,
    RESUME,
    ROLL_BACK,
    WAKE,
    restart_from,
)
from workflows_app.admin.values import mask
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.engine import clock
from workflows_app.engine.restarting import may_be_target
from workflows_app.models import Account, Invocation, Run, RunLabel, Step
from workflows_app.protocol.redaction import redacted, redactor_of


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
class RunAdmin(VerbAdmin):
    workflow_path = "workflow"
    verbs = (CANCEL, ROLL_BACK, WAKE, PAUSE, RESUME, RESTART)
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

    # -- one run

    def get_urls(self) -> list[URLPattern]:
        value = self.admin_site.admin_view(self.value_view)
        step_value = self.admin_site.admin_view(self.step_value_view)
        restart = self.admin_site.admin_view(self.restart_view)
        return [
            path(
                "<int:run_pk>/restart/<int:step_pk>/", restart, name=self._url_name("restart_from")
            ),
            path("<int:run_pk>/value/<str:field>/", value, name=self._url_name("value")),
            path(
                "<int:run_pk>/steps/<int:step_pk>/<str:field>/",
                step_value,
                name=self._url_name("step_value"),
            ),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Run | None = None) -> list[Any]:
        """None: the page is drawn by its own template."""
        return []

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.get_object(request, unquote(object_id))
        context = dict(extra_context or {})
        if run is not None and self.has_view_permission(request, run):
            page = run_page.build(run, request.GET.get("steps", ""), self.url_of)
            context |= {"page": page, "title": run.workflow or run.url, "subtitle": None}
            context |= {"may_restart": self.has_verb_permission(request, RESTART)}
        return super().change_view(request, object_id, form_url, context)

    def restart_view(self, request: HttpRequest, run_pk: int, step_pk: int) -> HttpResponse:
        """From one of its steps; asks, then does."""
        if not self.has_verb_permission(request, RESTART):
            raise PermissionDenied
        step = Step.objects.select_related("run").filter(run=run_pk, pk=step_pk).first()
        if step is None or not may_be_target(step):
            raise Http404
        return self.verb_view(request, str(run_pk), restart_from(step))

    def value_view(self, request: HttpRequest, run_pk: int, field: str) -> HttpResponse:
        """The whole of a payload or result."""
        if field not in ("payload", "result"):
            raise Http404
        return self._whole(request, run_pk, Run.objects.filter(pk=run_pk), field)

    def step_value_view(
        self, request: HttpRequest, run_pk: int, step_pk: int, field: str
    ) -> HttpResponse:
        """The whole of a step's input or result, or of what was published; of a sensitive step
        there is nothing to see.
        """
        if field not in ("input", "result", "raw"):
            raise Http404
        steps = Step.objects.filter(run=run_pk, pk=step_pk)
        return self._whole(request, run_pk, steps.filter(sensitive=False), field)

    def _whole(
        self, request: HttpRequest, run_pk: int, rows: QuerySet[Any], field: str
    ) -> HttpResponse:
        """Nobody is led to what is to be hidden, and who comes all the same sees its hash."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = super().get_queryset(request).filter(pk=run_pk).only("redaction").first()
        value = rows.values_list(field, flat=True).first()
        if run is None or value is None:
            raise Http404
        redactor = redactor_of(run.redaction)
        # Steps hold requests and answers, with headers in them, and results of other runs.
        hides_step = redactor.hides_anything or _of_hidden_run(run_pk, rows)
        if redactor.hides_bodies or (rows.model is Step and hides_step):
            content = value.encode() if isinstance(value, str) else bytes(value)
            return plain(redacted(content))
        return plain(value if isinstance(value, str) else bytes(value))


def _of_hidden_run(run_pk: int, rows: QuerySet[Any]) -> bool:
    """Whether one of the steps, if they are steps, invoked a run that hides something."""
    if rows.model is not Step:
        return False
    invoked = Invocation.objects.filter(parent=run_pk, key__in=rows.values("key"))
    return invoked.exclude(child__redaction="").exists()


def plain(value: str | bytes) -> HttpResponse:
    """A stored value as text, or as a file when it is none; never as a page with scripts."""
    try:
        text = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        response = HttpResponse(value, content_type="application/octet-stream")
        response["Content-Disposition"] = 'attachment; filename="value.bin"'
    else:
        response = HttpResponse(mask(text), content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response
