"""The dead letter queue in the admin: failed runs that wait for a person's decision."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.asking import AskingAdmin, payload_form
from workflows_app.admin.dead_letter_groups import (
    EntriesFilter,
    ErrorFilter,
    StepFilter,
    WorkflowOfLetter,
    message_of,
    read_groups,
)
from workflows_app.admin.dead_letter_verbs import DISMISS_LETTER, EDIT_AND_RETRY, edit_and_retry
from workflows_app.admin.displays import NOTHING, Tone, ago, badge, linked_run_title, run_link, when
from workflows_app.admin.row_page import RowAdmin
from workflows_app.admin.run_attempts import read_attempts
from workflows_app.admin.run_errors import read_error
from workflows_app.admin.run_verbs import RESTART_LETTER, RESUME_LETTER, RETRY_CALLBACK
from workflows_app.admin.values import show_answer, show_error
from workflows_app.admin.verb_admin import Button
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.errors import DeadLetterNotFound
from workflows_app.models import DeadLetter, Run
from workflows_app.models.dead_letters import DeadLetterQuerySet
from workflows_app.protocol.hiding import hidden_error, hidden_exchange
from workflows_app.protocol.ids import parse_dead_letter_id
from workflows_app.protocol.redaction import redactor_of

_CALLBACK_TONES = {
    DeadLetter.CallbackState.IN_PROGRESS: Tone.WAITING,
    DeadLetter.CallbackState.SUCCEEDED: Tone.GOOD,
    DeadLetter.CallbackState.FAILED: Tone.BAD,
    DeadLetter.CallbackState.CANCELED: Tone.QUIET,
}
MESSAGE_LENGTH = 160


@admin.register(DeadLetter)
class DeadLetterAdmin(AskingAdmin, RowAdmin):
    change_form_template = "admin/workflows_app/deadletter/change_form.html"
    workflow_path = "workflow"
    verbs = (RESUME_LETTER, RESTART_LETTER, DISMISS_LETTER, RETRY_CALLBACK)
    list_display = ("entry", "run_name", "error", "callback")
    list_display_links = ("entry",)
    list_filter = (
        EntriesFilter,
        WorkflowOfLetter,
        ErrorFilter,
        StepFilter,
        "callback_state",
        "account",
    )
    search_fields = ("run__run_id",)
    search_help_text = _("An entry's id, or the id of its run or its beginning.")
    ordering = ("-id",)

    # -- the list

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Groups, until somebody asks for entries."""
        if request.method == "GET" and not request.GET:
            return self._groups_view(request)
        return super().changelist_view(request, extra_context)

    def _groups_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        verbs = (RESUME_LETTER, RESTART_LETTER, DISMISS_LETTER)
        context = {
            **self.admin_site.each_context(request),
            "title": capfirst(self.opts.verbose_name_plural),
            "opts": self.opts,
            "media": self.media,
            "groups": read_groups(self.get_queryset(request)),
            "verbs": [verb for verb in verbs if self.has_verb_permission(request, verb)],
        }
        return TemplateResponse(request, "admin/workflows_app/deadletter/groups.html", context)

    def get_queryset(self, request: HttpRequest) -> DeadLetterQuerySet:
        letters: Any = super().get_queryset(request)
        found: DeadLetterQuerySet = letters.select_related("account", "run").defer(
            "callback_response", "run__payload", "run__headers", "run__result"
        )
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=parse_dead_letter_id(term)[1]), False
        except DeadLetterNotFound:
            return queryset.filter(run__run_id__startswith=term), False

    @admin.display(description=_("entry"))
    def entry(self, letter: DeadLetter) -> SafeString:
        entry = '<span class="wf-id">{}</span><br>{}'
        return format_html(entry, letter.public_id, ago(letter.created_at))

    @admin.display(description=_("run"))
    def run_name(self, letter: DeadLetter) -> SafeString:
        return linked_run_title(letter.run)

    @admin.display(description=_("error"))
    def error(self, letter: DeadLetter) -> SafeString | str:
        redactor = redactor_of(letter.run.redaction)
        error = show_error(hidden_error(letter.run.error, redactor))
        if error is None:
            return NOTHING
        return format_html(
            '<strong>{}</strong> {}<br><span class="wf-text">{}</span>',
            error.type,
            gettext("at %(step)s") % {"step": error.step} if error.step else "",
            message_of(letter, MESSAGE_LENGTH),
        )

    @admin.display(description=_("callback"))
    def callback(self, letter: DeadLetter) -> SafeString | str:
        return callback_badge(letter)

    def describe(self, row: DeadLetter) -> str:
        return f"{row.public_id}: {row.run.workflow or row.run.url} {row.run.run_id}"

    # -- one entry

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.edit_view)
        return [path("<int:pk>/edit/", view, name=self._url_name("edit")), *super().get_urls()]

    def buttons(self, request: HttpRequest, object_id: str) -> list[Button]:
        found = super().buttons(request, object_id)
        # An entry that exists has buttons for whoever may edit it.
        if found and self.has_verb_permission(request, EDIT_AND_RETRY):
            url = self.url_of("edit", int(unquote(object_id)))
            edit = Button(label=f"{EDIT_AND_RETRY.label}…", url=url)
            found.insert(2, edit)
        return found

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_verb_permission(request, EDIT_AND_RETRY):
            raise PermissionDenied
        letter = self.get_object(request, str(pk))
        if letter is None:
            raise Http404
        runs = self.admin_site.get_model_admin(Run)
        may_see = runs.has_view_permission(request)
        form = payload_form(request, letter.run, may_see=may_see)
        return self.ask(
            request,
            EDIT_AND_RETRY,
            letter,
            form,
            lambda letter: edit_and_retry(letter, form.edited()),
        )

    def context_of(self, request: HttpRequest, row: DeadLetter) -> dict[str, Any]:
        redactor = redactor_of(row.run.redaction)
        answer = hidden_exchange(row.callback_response or None, redactor)
        return {
            "letter": row,
            "run_link": run_link(row.run),
            "failed_at": when(row.created_at),
            "error": read_error(row.run),
            "callback": callback_badge(row),
            "callback_response": show_answer(answer or ""),
            "callback_attempts": read_attempts(row.run, [FAILURE_KEY]).get(FAILURE_KEY, []),
        }


def callback_badge(letter: DeadLetter) -> SafeString | str:
    state = DeadLetter.CallbackState(letter.callback_state)
    if state == DeadLetter.CallbackState.NONE:
        return NOTHING
    return badge(letter.get_callback_state_display().lower(), _CALLBACK_TONES[state])
