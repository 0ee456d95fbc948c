"""The dead letter queue in the admin: failed runs that wait for a person's decision."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workflows_app.admin.displays import NOTHING, Tone, ago, badge, linked_run_title, run_link, when
from workflows_app.admin.permissions import ScopedAdmin
from workflows_app.admin.run_attempts import read_attempts
from workflows_app.admin.run_errors import read_error
from workflows_app.admin.run_filters import ByWorkflowOfRun
from workflows_app.admin.run_verbs import RESTART_LETTER, RESUME_LETTER, RETRY_CALLBACK
from workflows_app.admin.values import show_answer, show_error
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.engine import dead_letters
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.errors import DeadLetterNotFound
from workflows_app.models import DeadLetter
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
class DeadLetterAdmin(VerbAdmin):
    workflow_path = "workflow"
    verbs = (RESUME_LETTER, RESTART_LETTER, RETRY_CALLBACK)
    list_display = ("entry", "run_name", "error", "callback")
    list_display_links = ("entry",)
    list_filter = (ByWorkflowOfRun, "callback_state", "account")
    search_fields = ("run__run_id",)
    search_help_text = "An entry's id, or the id of its run or its beginning."
    ordering = ("-id",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return ScopedAdmin.has_delete_permission(self, request, obj)

    def delete_model(self, request: HttpRequest, obj: DeadLetter) -> None:
        dead_letters.delete(DeadLetter.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        dead_letters.delete(
            DeadLetter.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        )

    # -- the list

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        letters: QuerySet[DeadLetter] = super().get_queryset(request)
        return letters.select_related("account", "run").defer(
            "callback_response", "run__payload", "run__headers", "run__result"
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        term = search_term.strip()
        try:
            return queryset.filter(pk=parse_dead_letter_id(term)[1]), False
        except DeadLetterNotFound:
            return queryset.filter(run__run_id__startswith=term), False

    @admin.display(description="entry")
    def entry(self, letter: DeadLetter) -> SafeString:
        entry = '<span class="wf-id">{}</span><br>{}'
        return format_html(entry, letter.public_id, ago(letter.created_at))

    @admin.display(description="run")
    def run_name(self, letter: DeadLetter) -> SafeString:
        return linked_run_title(letter.run)

    @admin.display(description="error")
    def error(self, letter: DeadLetter) -> SafeString | str:
        redactor = redactor_of(letter.run.redaction)
        error = show_error(hidden_error(letter.run.error, redactor))
        if error is None:
            return NOTHING
        message = error.message[:MESSAGE_LENGTH] + "…" * (len(error.message) > MESSAGE_LENGTH)
        return format_html(
            '<strong>{}</strong> {}<br><span class="wf-text">{}</span>',
            error.type,
            f"at {error.step}" if error.step else "",
            message,
        )

    @admin.display(description="callback")
    def callback(self, letter: DeadLetter) -> SafeString | str:
        return callback_badge(letter)

    def describe(self, row: DeadLetter) -> str:
        return f"{row.public_id}: {row.run.workflow or row.run.url} {row.run.run_id}"

    # -- one entry

    def get_fieldsets(self, request: HttpRequest, obj: DeadLetter | None = None) -> list[Any]:
        """None: the page is drawn by its own template."""
        return []

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        letter = self.get_object(request, unquote(object_id))
        context = dict(extra_context or {})
        if letter is not None:
            context |= {
                "title": "Dead letter",
                "subtitle": None,
                "letter": letter,
                "run_link": run_link(letter.run),
                "failed_at": when(letter.created_at),
                "error": read_error(letter.run),
                "callback": callback_badge(letter),
                "callback_response": show_answer(
                    hidden_exchange(
                        letter.callback_response or None, redactor_of(letter.run.redaction)
                    )
                    or ""
                ),
                "callback_attempts": read_attempts(letter.run, [FAILURE_KEY]).get(FAILURE_KEY, []),
            }
        return super().change_view(request, object_id, form_url, context)


def callback_badge(letter: DeadLetter) -> SafeString | str:
    state = DeadLetter.CallbackState(letter.callback_state)
    if state == DeadLetter.CallbackState.NONE:
        return NOTHING
    return badge(letter.get_callback_state_display().lower(), _CALLBACK_TONES[state])
