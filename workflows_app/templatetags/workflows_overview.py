"""The overview, for a template of whichever admin site has the models of the app."""

from __future__ import annotations

from django import template
from django.contrib.admin.sites import all_sites
from django.template import RequestContext

from workflows_app.admin.overview import Overview, build

register = template.Library()


@register.simple_tag(takes_context=True)
def workflows_overview(context: RequestContext) -> Overview | None:
    """None for who may not see runs."""
    request = context["request"]
    name = getattr(request, "current_app", "admin")
    site = next((each for each in all_sites if each.name == name), None)
    return None if site is None else build(site, request)
