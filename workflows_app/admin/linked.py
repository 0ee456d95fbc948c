"""Runs and the rows of other models that their labels name: from each to the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from workflows_app.admin.activity import activities_of
from workflows_app.models import Run, RunLabel
from workflows_app.sdk.labels import label_of

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = object

SHOWN = 10
"""Runs on the page of a row; the list of runs has the others."""


def links_of(
    labels: Iterable[str], request: HttpRequest, site: admin.AdminSite
) -> Mapping[str, str]:
    """The pages of the rows that labels name, of models that are registered and that this user may
    see. Whether there is such a row, nobody asks.
    """
    links = {label: _link(label, request, site) for label in labels if "/" in label}
    return {label: link for label, link in links.items() if link}


def _link(label: str, request: HttpRequest, site: admin.AdminSite) -> str | None:
    name, _, key = label.partition("/")
    try:
        model_admin = site.get_model_admin(apps.get_model(name))
        if not key or not model_admin.has_view_permission(request):
            return None
        page = f"admin:{name.replace('.', '_')}_change"
        return reverse(page, args=[quote(key)], current_app=site.name)
    except (LookupError, ValueError, NotRegistered, NoReverseMatch):
        return None


def label_tags(run: Run, links: Mapping[str, str], list_url: str) -> SafeString:
    """Each label leads to its row, or to the runs that have it."""
    tags = (
        (links.get(label) or f"{list_url}?{urlencode({'label': label})}", label)
        for label in run.label_list
    )
    return format_html_join(" ", '<a class="wf-tag" href="{}">{}</a>', tags)


class LinkedRunsMixin(Base):
    """For a ModelAdmin: the page of a row shows the newest runs that `label_of` ties to it. A
    template of your own extends "admin/workflows_app/linked_change_form.html".
    """

    change_form_template = "admin/workflows_app/linked_change_form.html"

    class Media:
        css = {"all": ["workflows_app/admin.css"]}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            context["linked_runs"] = self._linked_runs(request, label_of(row))
        return super().render_change_form(request, context, *args, **kwargs)

    def _linked_runs(self, request: HttpRequest, label: str) -> dict[str, Any] | None:
        if not self.admin_site.is_registered(Run):
            return None
        run_admin = self.admin_site.get_model_admin(Run)
        if not run_admin.has_view_permission(request):
            return None
        named = RunLabel.objects.filter(name=label)
        found = run_admin.get_queryset(request).filter(pk__in=named.values("run"))
        runs = list(found.order_by("-pk")[:SHOWN])
        activities = activities_of(runs)
        site = self.admin_site.name
        every = reverse("admin:workflows_app_run_changelist", current_app=site)
        return {
            "runs": [
                {
                    "run": run,
                    "url": reverse("admin:workflows_app_run_change", args=[run.pk]),
                    "activity": activities[run.pk],
                }
                for run in runs
            ],
            "all": format_html("{}?{}", every, urlencode({"label": label})),
        }
