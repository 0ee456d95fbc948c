"""Flow control keys in the admin: their limits, and how far they are used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.displays import (
    NOTHING,
    Tone,
    ago,
    badge,
    capped,
    changelist_link,
    clock_time,
    span,
)
from workflows_app.admin.permissions import ScopedAdmin
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.admin.verbs import PAUSE_KEY, PIN_KEY, RESET_RATE, RESUME_KEY, UNPIN_KEY
from workflows_app.engine.flow_control import Usage, flow_control_of, usage_of_all
from workflows_app.models import FlowControl, Run
from workflows_app.models.flow_control import OF_WORKFLOWS
from workflows_app.protocol.runs import FlowControlSpec

MOST_COUNTED = 1_000
"""How far what waits for a key is counted."""
_LIMITS = ("parallelism", "rate")


class LimitsForm(forms.ModelForm):
    parallelism = forms.IntegerField(
        min_value=1, required=False, help_text=_("Deliveries at once; empty for no limit.")
    )
    rate = forms.IntegerField(
        min_value=1, required=False, help_text=_("Starts per period; empty for no limit.")
    )

    class Meta:
        model = FlowControl
        fields = ("account", "key", "parallelism", "rate", "period")
        help_texts = {"period": _("As [days] hours:minutes:seconds; only with a rate.")}

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if key.startswith(OF_WORKFLOWS):
            raise forms.ValidationError(_("Such a key holds the limit that a workflow has itself."))
        return key

    def clean_period(self) -> timedelta:
        period: timedelta = self.cleaned_data["period"]
        if period <= timedelta():
            raise forms.ValidationError(_("A period is longer than 0 seconds."))
        return period

    def clean(self) -> None:
        """What is pinned is no field here, but a limit all the same."""
        super().clean()
        limits = [self.cleaned_data.get(name, getattr(self.instance, name)) for name in _LIMITS]
        if not any(limits) and not self.errors:
            self.add_error("parallelism", _("Give a parallelism, a rate, or both."))


class FlowControlChangeList(ChangeList):
    """Finds out how far all keys of the page are used at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        controls = list(self.result_list)
        usages = usage_of_all(controls, MOST_COUNTED)
        for control in controls:
            control.usage = usages[control.pk]
        self.result_list = controls


@admin.register(FlowControl)
class FlowControlAdmin(VerbAdmin):
    verbs = (PAUSE_KEY, RESUME_KEY, PIN_KEY, UNPIN_KEY, RESET_RATE)
    form = LimitsForm
    change_list_template = "admin/workflows_app/flowcontrol/change_list.html"
    list_display = ("key", "state", "slots", "starts", "waiting", "runs")
    list_display_links = ("key",)
    list_filter = ("paused", "account")
    search_fields = ("key",)
    ordering = ("key",)
    fieldsets = (
        (
            None,
            {
                "fields": ("account", "key", "parallelism", "rate", "period"),
                "description": _(
                    "A trigger that names this key with other limits sets them anew, unless they "
                    "are pinned."
                ),
            },
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return ScopedAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return ScopedAdmin.has_change_permission(self, request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        parallelism = ("parallelism",) if obj.parallelism_pinned else ()
        rate = ("rate", "period") if obj.rate_pinned else ()
        return ("account", "key", *parallelism, *rate)

    def save_model(self, request: HttpRequest, obj: FlowControl, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Limits are set as a trigger sets them."""
        spec = FlowControlSpec(
            key=obj.key, parallelism=obj.parallelism, rate=obj.rate, period=obj.period
        )
        stored = flow_control_of(obj.account, spec)
        assert stored is not None, "a spec was given"  # noqa: S101
        obj.pk = stored.pk

    def get_queryset(self, request: HttpRequest) -> QuerySet[FlowControl]:
        every: QuerySet[FlowControl] = super().get_queryset(request)
        # What workflows set themselves is shown, and changed, as part of their versions.
        return every.exclude(key__startswith=OF_WORKFLOWS)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FlowControlChangeList

    @admin.display(description=_("state"))
    def state(self, control: FlowControl) -> SafeString:
        if control.paused:
            return badge(gettext("paused"), Tone.QUIET)
        return badge(gettext("open"), Tone.GOOD)

    @admin.display(description=_("slots in use"))
    def slots(self, control: Any) -> SafeString:
        usage: Usage = control.usage
        if control.parallelism is None:
            return format_html("{}", gettext("%(used)d, no limit") % {"used": usage.in_flight})
        numbers = {"used": usage.in_flight, "all": control.parallelism}
        used = gettext("%(used)d of %(all)d") % numbers
        return format_html("{}{}", used, _pin(pinned=control.parallelism_pinned))

    @admin.display(description=_("rate"))
    def starts(self, control: Any) -> SafeString | str:
        if control.rate is None:
            return NOTHING
        limit = gettext("%(rate)d per %(period)s") % {
            "rate": control.rate,
            "period": span(control.period),
        }
        return format_html(
            '{}{}<br><span class="wf-text">{}</span>',
            limit,
            _pin(pinned=control.rate_pinned),
            _left(control, control.usage),
        )

    @admin.display(description=_("due, and waiting"))
    def waiting(self, control: Any) -> str:
        usage: Usage = control.usage
        return capped(usage.waiting, MOST_COUNTED)

    @admin.display(description=_("runs"))
    def runs(self, control: FlowControl) -> SafeString:
        return changelist_link(Run, gettext("Runs"), flow_control=control.pk)


def _pin(*, pinned: bool) -> SafeString | str:
    return format_html(' <span class="wf-tag">{}</span>', gettext("pinned")) if pinned else ""


def _left(control: FlowControl, usage: Usage) -> str:
    """How many may start before the current period ends, and when that is."""
    ends_at = control.window_ends_at()
    if usage.period_began_at is None or ends_at is None:
        return gettext("all of them left: no period has begun")
    return gettext("%(left)d left until %(end)s, %(away)s") % {
        "left": max(0, (control.rate or 0) - usage.started),
        "end": clock_time(ends_at),
        "away": ago(ends_at),
    }
