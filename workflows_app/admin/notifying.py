"""Sending events from the admin: to one run, or to all that wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.asking import AskingAdmin, CodeArea, sent
from workflows_app.admin.displays import capped
from workflows_app.admin.permissions import allowed_workflows
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.admin.verbs import Deed, Verb
from workflows_app.engine import events
from workflows_app.engine.database import joining
from workflows_app.engine.events import Notified
from workflows_app.errors import InvalidInput, RunEnded, WorkflowsError
from workflows_app.models import Account, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.ids import check_event_id

JSON, TEXT = "json", "text"
MOST_COUNTED = 1_000
MOST_NAMED = 5
REMOTE_WEBHOOK = "WaitForWebhook"


class EventForm(forms.Form):
    event_id = forms.CharField(
        label=_("Event id"), strip=False, widget=forms.TextInput(attrs={"class": "vTextField"})
    )
    content = forms.CharField(
        label=_("Data"),
        required=False,
        strip=False,
        widget=CodeArea(8),
        help_text=_("What the step that waits is given; it may be empty."),
    )
    kind = forms.ChoiceField(
        label=_("The data is"), choices=[(JSON, _("JSON")), (TEXT, _("a text"))], initial=JSON
    )

    def clean_event_id(self) -> str:
        try:
            return check_event_id(self.cleaned_data["event_id"])
        except InvalidInput as error:
            raise forms.ValidationError(error.message) from None

    def clean(self) -> None:
        """A text is sent as the JSON of it, so that whoever waits gets it as it was typed."""
        super().clean()
        content = self.cleaned_data.get("content", "")
        try:
            if self.cleaned_data.get("kind") == TEXT:
                content = encode_json(content.replace("\r\n", "\n"))
            elif content.strip():
                decode_json(content)
        except InvalidInput as error:
            self.add_error("content", error.message)
        self.event_data = content.encode() if content.strip() else b""


class EventForAllForm(EventForm):
    account = forms.ModelChoiceField(label=_("Account"), queryset=Account.objects.order_by("pk"))

    def __init__(self, data: Any, **options: Any) -> None:
        super().__init__(data, **options)
        accounts = list(Account.objects.order_by("pk")[:2])
        if len(accounts) == 1:
            del self.fields["account"]
            self._only = accounts[0]

    @property
    def account_chosen(self) -> Account:
        account: Account = self.cleaned_data.get("account") or self._only
        return account


NOTIFY = Verb(
    name="notify",
    permission="notify_run",
    label=_("Send event"),
    done=_("notified"),
    consequence=_(
        "The step of this run that waits for the event goes on with its data. While none waits for "
        "it, the event is kept for the run."
    ),
    act=lambda run: _notify(run, "", b""),
    offered=lambda run: run.is_live,
)
_TO_ALL = _(
    "All steps that wait for the event go on with its data, in whichever run they are. An event "
    "that nobody waits for is lost."
)


def _notify(run: Run, event_id: str, content: bytes) -> Deed:
    notified = events.notify_run(run, event_id, content)
    if notified is None:
        raise RunEnded(f"run {run.run_id} has ended already and takes no events")
    return Deed(sentence=_told(event_id, notified), subject=notified.run)


def _told(event_id: str, notified: Notified) -> str:
    named = {"event": event_id, "run": notified.run.run_id}
    if notified.step is None:
        return (
            gettext("Event “%(event)s” is kept for run %(run)s, which does not wait for it yet.")
            % named
        )
    named["step"] = notified.step.name
    return gettext("Event “%(event)s” reached step %(step)s of run %(run)s.") % named


class NotifyAdmin(AskingAdmin):
    """Of runs."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.notify_view)
        own = path("<int:run_pk>/notify/", view, name=self._url_name("notify"))
        return [own, *super().get_urls()]

    def notify_view(self, request: HttpRequest, run_pk: int) -> HttpResponse:
        if not self.has_verb_permission(request, NOTIFY):
            raise PermissionDenied
        run = self.get_object(request, str(run_pk))
        if run is None:
            raise Http404
        awaited = list(run.waiters.order_by("id").values_list("event_id", flat=True)[:MOST_NAMED])
        asked = request.GET.get("event") or next(iter(awaited), "")
        form = EventForm(sent(request), initial={"event_id": asked})
        form.fields["event_id"].help_text = _awaited(awaited)
        return self.ask(
            request,
            NOTIFY,
            run,
            form,
            lambda run: _notify(run, form.cleaned_data["event_id"], form.event_data),
        )


def _awaited(event_ids: Sequence[str]) -> str:
    if not event_ids:
        return gettext("The run waits for no event at the moment.")
    return gettext("The run waits for: %(events)s.") % {"events": ", ".join(event_ids)}


class SendAdmin(VerbAdmin):
    """Of waiters: sends one event to all of them."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.send_view)
        return [path("send/", view, name=self._url_name("send")), *super().get_urls()]

    def may_send(self, request: HttpRequest) -> bool:
        runs = self.admin_site.get_model_admin(Run)
        return isinstance(runs, NotifyAdmin) and runs.has_verb_permission(request, NOTIFY)

    def send_view(self, request: HttpRequest) -> HttpResponse:
        if not self.may_send(request):
            raise PermissionDenied
        event_id = request.GET.get("event", "").replace("\0", "")
        initial = {"event_id": event_id, "account": request.GET.get("account")}
        form = EventForAllForm(sent(request), initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                sentence = self._send(request, form)
            except WorkflowsError as refusal:
                form.add_error(None, refusal.message)
            else:
                self.message_user(request, sentence, messages.SUCCESS)
                return HttpResponseRedirect(self.url_of("changelist"))
        if event_id:
            form.fields["event_id"].help_text = self._waiting(request, event_id)
        context = {
            **self.admin_site.each_context(request),
            "title": NOTIFY.label,
            "opts": self.opts,
            "media": self.media,
            "verb": {"label": NOTIFY.label, "consequence": _TO_ALL},
            "form": form,
            "back": self.url_of("changelist"),
        }
        return TemplateResponse(request, "admin/workflows_app/ask.html", context)

    def _waiting(self, request: HttpRequest, event_id: str) -> str:
        accounts = list(Account.objects.values_list("pk", flat=True))
        # The index by event begins with the account.
        found = self.get_queryset(request).filter(account__in=accounts, event_id=event_id)
        number = found.order_by()[:MOST_COUNTED].count()
        return ngettext(
            "%(number)s step waits for it now.", "%(number)s steps wait for it now.", number
        ) % {"number": capped(number, MOST_COUNTED)}

    def _send(self, request: HttpRequest, form: EventForAllForm) -> str:
        """To runs that this user may see; each of them remembers it. Raises WorkflowsError."""
        event_id, runs = form.cleaned_data["event_id"], self.admin_site.get_model_admin(Run)
        with joining():
            notified = events.notify(
                form.account_chosen,
                event_id,
                form.event_data,
                workflows=allowed_workflows(request.user),
            )
            for each in notified:
                runs.log_change(request, each.run, _told(event_id, each))
        if not notified:
            raise InvalidInput(gettext("Nobody waits for this event, so nothing was sent."))
        reached = len({each.run.pk for each in notified})
        return ngettext(
            "Event “%(event)s” reached %(number)s run.",
            "Event “%(event)s” reached %(number)s runs.",
            reached,
        ) % {"event": event_id, "number": reached}


WAITS_FOR_WEBHOOK = Q(step__contains=f'"kind":"{Step.Kind.WAIT_FOR_WEBHOOK}"') | Q(
    step__contains=f'"stepType":"{REMOTE_WEBHOOK}"'
)


def is_webhook(waiter: Waiter) -> bool:
    """Whether it waits for the call of a webhook; steps of other services name it their way."""
    said = decode_json(waiter.step)
    kinds = (said.get("kind"), said.get("stepType"))
    return Step.Kind.WAIT_FOR_WEBHOOK in kinds or REMOTE_WEBHOOK in kinds
