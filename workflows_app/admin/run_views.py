"""The addresses under one run: its page, the part of it that changes, its values, its verbs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from workflows_app.admin import run_page
from workflows_app.admin.asked import read_asked
from workflows_app.admin.forking import FORK
from workflows_app.admin.linked import label_tags, links_of
from workflows_app.admin.notifying import NOTIFY
from workflows_app.admin.row_page import RowAdmin
from workflows_app.admin.run_verbs import RESTART, WAKE, restart_from
from workflows_app.admin.values import mask
from workflows_app.admin.verb_admin import Button
from workflows_app.engine.step_targets import may_be_target
from workflows_app.models import Invocation, Run, Step
from workflows_app.protocol.codec import bytes_in
from workflows_app.protocol.redaction import redacted, redactor_of


class RunPageAdmin(RowAdmin):
    change_form_template = "admin/workflows_app/run/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        value = self.admin_site.admin_view(self.value_view)
        step_value = self.admin_site.admin_view(self.step_value_view)
        restart = self.admin_site.admin_view(self.restart_view)
        fragment = self.admin_site.admin_view(self.fragment_view)
        return [
            path("<int:run_pk>/fragment/", fragment, name=self._url_name("fragment")),
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

    def context_of(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        return {"title": row.workflow or row.url, **self._live(request, row)}

    def fragment_view(self, request: HttpRequest, run_pk: int) -> HttpResponse:
        """What of the page changes while the run goes on, as the page itself has it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, str(run_pk))
        if run is None:
            raise Http404
        try:
            context = self._live(request, run)
        except Run.DoesNotExist:  # deleted meanwhile
            raise Http404 from None
        return TemplateResponse(request, "admin/workflows_app/run/_live.html", context)

    def _live(self, request: HttpRequest, run: Run) -> dict[str, Any]:
        page = run_page.build(run, read_asked(request.GET), self.url_of)
        verbs = self.verb_buttons(request, run)
        if WAKE.name in verbs and page.activity.state == "retrying":
            verbs[WAKE.name] = replace(verbs[WAKE.name], label=_("Retry now…"))
        return {
            "page": page,
            "labels": label_tags(
                run,
                links_of(run.label_list, request, self.admin_site),
                self.url_of("changelist"),
            ),
            "verbs": verbs,
            "may_restart": self.has_verb_permission(request, RESTART),
            "may_fork": self.has_verb_permission(request, FORK),
        }

    def buttons(self, request: HttpRequest, object_id: str) -> list[Button]:
        """None beside the title: they change with the run, see `verb_buttons`."""
        return []

    def verb_buttons(self, request: HttpRequest, run: Run) -> dict[str, Button]:
        """What this user may have done with the run now, by the names of the verbs."""
        last = "delete"
        verbs = sorted((*self.verbs, FORK, NOTIFY), key=lambda verb: verb.name == last)
        return {
            verb.name: Button(label=f"{verb.label}…", url=self.url_of(verb.name, quote(run.pk)))
            for verb in verbs
            if verb.offered(run) and self.has_verb_permission(request, verb)
        }

    def restart_view(self, request: HttpRequest, run_pk: int, step_pk: int) -> HttpResponse:
        """From one of its steps; asks, then does."""
        if not self.has_verb_permission(request, RESTART):
            raise PermissionDenied
        run = self.get_object(request, str(run_pk))
        step = Step.objects.filter(run=run, pk=step_pk).first() if run is not None else None
        if run is None or step is None or not may_be_target(step):
            raise Http404
        step.run = run
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
    if isinstance(value, str) and (content := bytes_in(value)) is not None:
        return _file(content)
    try:
        text = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return _file(value)
    response = HttpResponse(mask(text), content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _file(content: str | bytes) -> HttpResponse:
    response = HttpResponse(content, content_type="application/octet-stream")
    response["Content-Disposition"] = 'attachment; filename="value.bin"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
