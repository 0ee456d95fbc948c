"""Flow control keys in the admin: their limits, and how far they are used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from workflows_app.admin.displays import NOTHING, Tone, badge, span
from workflows_app.admin.permissions import ScopedAdmin
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.admin.verbs import PAUSE_KEY, PIN_KEY, RESET_RATE, RESUME_KEY, UNPIN_KEY
from workflows_app.engine import clock
from workflows_app.engine.flow_control import flow_control_of
from workflows_app.models import FlowControl
from workflows_app.models.flow_control import OF_WORKFLOWS
from workflows_app.protocol.runs import FlowControlSpec

_PINNED = ", pinned"
_LIMITS = ("parallelism", "rate")


class LimitsForm(forms.ModelForm):
    parallelism = forms.IntegerField(
        min_value=1, required=False, help_text="Deliveries at once; empty for no limit."
    )
    rate = forms.IntegerField(
        min_value=1, required=False, help_text="Starts per period; empty for no limit."
    )

    class Meta:
        model = FlowControl
        fields = ("account", "key", "parallelism", "rate", "period")
        help_texts = {"period": "As [days] hours:minutes:seconds; only with a rate."}

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if key.startswith(OF_WORKFLOWS):
            raise forms.ValidationError("Such a key holds the limit that a workflow has itself.")
        return key

    def clean_period(self) -> timedelta:
        period: timedelta = self.cleaned_data["period"]
        if period <= timedelta():
            raise forms.ValidationError("A period is longer than 0 seconds.")
        return period

    def clean(self) -> None:
        """What is pinned is no field here, but a limit all the same."""
        super().clean()
        limits = [self.cleaned_data.get(name, getattr(self.instance, name)) for name in _LIMITS]
        if not any(limits) and not self.errors:
            self.add_error("parallelism", "Give a parallelism, a rate, or both.")


@admin.register(FlowControl)
class FlowControlAdmin(VerbAdmin):
    verbs = (PAUSE_KEY, RESUME_KEY, PIN_KEY, UNPIN_KEY, RESET_RATE)
    form = LimitsForm
    list_display = ("key", "state", "at_once", "per_period", "in_flight", "waiting")
    list_display_links = ("key",)
    list_filter = ("paused", "account")
    search_fields = ("key",)
    ordering = ("key",)
    fieldsets = (
        (
            None,
            {
                "fields": ("account", "key", "parallelism", "rate", "period"),
                "description": "A trigger that names this key with other limits sets them anew, "
                "unless they are pinned.",
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
        now = clock.now()
        leased = Q(messages__token__isnull=False, messages__due_at__gt=now)
        every: QuerySet[FlowControl] = super().get_queryset(request)
        # What workflows set themselves is shown, and changed, as part of their versions.
        controls = every.exclude(key__startswith=OF_WORKFLOWS)
        return controls.annotate(
            in_flight=Count("messages", filter=leased),
            waiting=Count("messages", filter=Q(messages__due_at__lte=now)),
        )

    @admin.display(description="state")
    def state(self, control: FlowControl) -> SafeString:
        return badge("paused", Tone.QUIET) if control.paused else badge("open", Tone.GOOD)

    @admin.display(description="at once")
    def at_once(self, control: FlowControl) -> str:
        if control.parallelism is None:
            return NOTHING
        return f"{control.parallelism}{_PINNED if control.parallelism_pinned else ''}"

    @admin.display(description="rate")
    def per_period(self, control: FlowControl) -> str:
        if control.rate is None:
            return NOTHING
        pinned = _PINNED if control.rate_pinned else ""
        return f"{control.rate} per {span(control.period)}{pinned}"

    @admin.display(description="in flight")
    def in_flight(self, control: Any) -> int:
        in_flight: int = control.in_flight
        return in_flight

    @admin.display(description="due, and waiting")
    def waiting(self, control: Any) -> int:
        waiting: int = control.waiting
        return waiting
