"""Starting a run by a form, which shows the code that does the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from workflows_app.admin.asking import sent
from workflows_app.admin.call_texts import CallTexts, call_texts
from workflows_app.admin.permissions import ScopedAdmin, allowed_workflows
from workflows_app.admin.request_form import RequestForm
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.engine import triggering
from workflows_app.engine.database import joining
from workflows_app.engine.ports import get_catalogue
from workflows_app.engine.triggering import Started
from workflows_app.errors import InvalidInput, WorkflowsError
from workflows_app.protocol.runs import RunRequest

MEDIA = Media(css={"all": ["workflows_app/request.css"]}, js=["workflows_app/request.js"])


class RequestBuilderAdmin(VerbAdmin):
    """Runs are added by triggering them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        may_all = ScopedAdmin.has_change_permission(self, request)
        return may_all or request.user.has_perm("workflows_app.trigger_run")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        workflows = startable_workflows(request.user)
        data = sent(request)
        first = request.GET.get("workflow")
        may_limit = allowed_workflows(request.user) is None
        form = RequestForm(data, workflows, first, may_limit=may_limit)
        if data is not None and form.is_valid() and "show" not in data:
            try:
                started = self._trigger(request, form)
            except WorkflowsError as refusal:
                form.add_error(None, refusal.message)
            else:
                return self._led_to(request, started)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Start a run"),
            "opts": self.opts,
            "media": self.media + MEDIA,
            "form": form,
            "texts": texts_of(form if form.is_bound else unfilled(workflows, first)),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/workflows_app/run/add_form.html", context)

    def _trigger(self, request: HttpRequest, form: RequestForm) -> Started:
        """The run and its audit entry, or neither. Raises WorkflowsError."""
        asked = with_policy(form.asked)
        with joining():
            (started,) = triggering.trigger(form.account_asked, [asked])
            if not started.deduplicated:
                self.log_addition(request, started.run, _sentence(started))
        return started

    def _led_to(self, request: HttpRequest, started: Started) -> HttpResponse:
        level = messages.WARNING if started.deduplicated else messages.SUCCESS
        self.message_user(request, _sentence(started), level)
        if self.has_view_permission(request):
            return self._back_to(request, started.run)
        return HttpResponseRedirect(self.url_of("add"))


def unfilled(workflows: list[str], first: str | None) -> RequestForm:
    """As if the form had been sent as it is first shown."""
    return RequestForm({"workflow": first or next(iter(workflows), "")}, workflows)


def texts_of(form: RequestForm) -> CallTexts | None:
    return call_texts(form.asked) if form.is_valid() else None


def startable_workflows(user: Any) -> list[str]:
    allowed = allowed_workflows(user)
    return sorted(name for name in get_catalogue().names() if allowed is None or name in allowed)


def with_policy(asked: RunRequest) -> RunRequest:
    """With what its workflow says where the form says nothing. Raises InvalidInput."""
    own = get_catalogue().request_for(asked.workflow)
    if own is None:
        raise InvalidInput(_("There is no such workflow here any more."))
    return replace(
        own,
        body=asked.body,
        headers=asked.headers,
        run_id=asked.run_id,
        delay=asked.delay,
        labels=asked.labels,
        retries=own.retries if asked.retries is None else asked.retries,
        flow_control=asked.flow_control or own.flow_control,
    )


def _sentence(started: Started) -> str:
    known = {"run": started.run.run_id}
    if started.deduplicated:
        return _("Run %(run)s is live already: nothing was started.") % known
    return _("Run %(run)s was started.") % known
