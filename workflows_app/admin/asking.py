"""Verbs that have to be told something before they are done: their page is a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.values import MASK, pretty
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.admin.verbs import Deed, Verb
from workflows_app.errors import InvalidInput, WorkflowsError
from workflows_app.models import Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.redaction import redactor_of

MOST_EDITED = 100_000
"""Bytes of a payload that a page offers to be edited."""

Payload = tuple[bytes, str]


class AskingAdmin(VerbAdmin):
    def ask(
        self,
        request: HttpRequest,
        verb: Verb,
        row: Model,
        form: forms.Form,
        act: Callable[[Any], Deed],
    ) -> HttpResponse:
        """Show the form, or do what it says: `act` may read its cleaned data. A refusal is shown on
        it, so that nothing typed is lost.
        """
        if request.method == "POST" and form.is_valid():
            try:
                deed = self.perform(request, replace(verb, act=act), row)
            except WorkflowsError as refusal:
                form.add_error(None, refusal.message)
            else:
                self.message_user(request, deed.sentence, messages.SUCCESS)
                return self._back_to(request, deed.successor or row)
        context = {
            **self.admin_site.each_context(request),
            "title": verb.label,
            "opts": self.opts,
            "media": self.media,
            "verb": verb,
            "subject": self.describe(row),
            "form": form,
            "back": self.url_of("change", quote(row.pk)),
        }
        return TemplateResponse(request, "admin/workflows_app/ask.html", context)


def sent(request: HttpRequest) -> Any:
    """What was sent with a form; None where it is only to be shown."""
    return request.POST if request.method == "POST" else None


class CodeArea(forms.Textarea):
    def __init__(self, rows: int) -> None:
        super().__init__(
            {
                "class": "vLargeTextField wf-code",
                "rows": rows,
                "spellcheck": "false",
                "autocomplete": "off",
            }
        )


class PayloadForm(forms.Form):
    """The payload of a run, to be kept or edited. What is not to be seen is not shown, and kept
    unless something is written in its place.
    """

    payload = forms.CharField(
        label=_("Payload"),
        required=False,
        strip=False,
        widget=CodeArea(16),
    )

    def __init__(self, data: Any, run: Run, *, may_see: bool) -> None:
        super().__init__(data)
        self._is_json = "json" in run.content_type
        self._content_type = run.content_type
        self._shown, why = _editable(run, may_see=may_see)
        field = self.fields["payload"]
        field.initial = self._shown
        field.help_text = why or _("The other run gets it as it is here.")

    def clean_payload(self) -> str:
        if self.add_prefix("payload") not in self.data:
            return self._shown
        text = _as_typed(self.cleaned_data["payload"])
        if text == self._shown:
            return text
        if MASK in text:
            raise forms.ValidationError(
                _("Write the real values in place of %(mask)s: they are hidden here."),
                params={"mask": MASK},
            )
        if self._is_json and text:
            try:
                decode_json(text)
            except InvalidInput as error:
                raise forms.ValidationError(error.message) from None
        return text

    def edited(self) -> Payload | None:
        """With its content type; None where it was left as it is."""
        text = self.cleaned_data["payload"]
        return None if text == self._shown else (text.encode(), self._content_type)


def payload_form(request: HttpRequest, run: Run, *, may_see: bool) -> PayloadForm:
    """Raises Http404 for a run that has been deleted since it was read."""
    try:
        return PayloadForm(sent(request), run, may_see=may_see)
    except Run.DoesNotExist:
        raise Http404 from None


def _editable(run: Run, *, may_see: bool) -> tuple[str, Any]:
    """What of the payload can be edited, or why nothing can."""
    payload = bytes(run.payload)
    if not may_see or (payload and redactor_of(run.redaction).hides_bodies):
        return "", _("The payload is hidden. Leave this empty to keep it as it is.")
    if len(payload) > MOST_EDITED:
        return "", _("The payload is too large to be shown. Leave this empty to keep it as it is.")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return "", _("The payload is no text. Leave this empty to keep it as it is.")
    return _as_typed(pretty(text)), ""


def _as_typed(text: str) -> str:
    """Browsers send line ends of their own."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
