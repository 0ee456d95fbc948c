"""Forking runs, from one of their steps or from the beginning."""

from __future__ import annotations

from dataclasses import replace

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.asking import AskingAdmin, Payload, payload_form
from workflows_app.admin.verbs import Deed, Verb
from workflows_app.engine.forking import fork
from workflows_app.engine.step_targets import StepTarget, may_be_target, target_of
from workflows_app.models import Run, Step


def _fork(run: Run, target: StepTarget | None = None, payload: Payload | None = None) -> Deed:
    new = fork(run, target, payload=payload)
    sentence = gettext("Run %(run)s was forked: %(new)s is another run like it.")
    if target is not None:
        sentence = gettext(
            "Run %(run)s was forked from step %(step)s: %(new)s is another run like it."
        )
    named = {"run": run.run_id, "new": new.run_id, "step": target and target.name}
    return Deed(sentence=sentence % named, subject=run, successor=new)


FORK = Verb(
    name="fork",
    permission="fork_run",
    label=_("Fork"),
    done=_("forked"),
    consequence=_(
        "Another run begins, with an id of its own, and does all steps anew. This one stays as it "
        "is; if it is live, it goes on."
    ),
    act=_fork,
    offered=lambda _: True,
)
_FROM = _(
    "Another run begins, with an id of its own. Steps that began before this one keep their "
    "results, the others are done with the payload below. The run that is forked stays as it is; "
    "if it is live, it goes on."
)


class ForkAdmin(AskingAdmin):
    """Of runs. Not one of their verbs: from a step it has an address of its own."""

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view(self.fork_view), self._url_name("fork")
        return [
            path("<int:run_pk>/fork/", view, name=name),
            path("<int:run_pk>/fork/<int:step_pk>/", view, name=name),
            *super().get_urls(),
        ]

    def fork_view(
        self, request: HttpRequest, run_pk: int, step_pk: int | None = None
    ) -> HttpResponse:
        if not self.has_verb_permission(request, FORK):
            raise PermissionDenied
        run = self.get_object(request, str(run_pk))
        if run is None:
            raise Http404
        verb, target = FORK, None
        if step_pk is not None:
            target = _target(run, step_pk)
            label = gettext("Fork from %(step)s") % {"step": target.name}
            verb = replace(FORK, label=label, consequence=_FROM)
        may_see = self.has_view_permission(request, run)
        form = payload_form(request, run, may_see=may_see)
        return self.ask(request, verb, run, form, lambda run: _fork(run, target, form.edited()))


def _target(run: Run, step_pk: int) -> StepTarget:
    step = Step.objects.filter(run=run, pk=step_pk).first()
    if step is None or not may_be_target(step):
        raise Http404
    step.run = run
    return target_of(step)
