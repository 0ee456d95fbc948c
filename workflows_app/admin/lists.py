"""What leads from a page to the lists and rows of other models."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from workflows_app.admin.verb_admin import VerbAdmin


class Lists:
    """The lists of an admin site that a user may see."""

    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        self._site = site
        self._request = request

    def rows(self, model: type[Model]) -> QuerySet[Any] | None:
        """None when they may not be seen."""
        found = self._admin(model)
        return None if found is None else found.get_queryset(self._request)

    def url(self, model: type[Model], **conditions: str) -> str:
        found = self._admin(model)
        if found is None:
            return ""
        query = f"?{urlencode(conditions)}" if conditions else ""
        return f"{found.url_of('changelist')}{query}"

    def form(self, model: type[Model]) -> str:
        """The address of the page that makes such a row; empty for who may not."""
        found = self._admin(model)
        if found is None or not found.has_add_permission(self._request):
            return ""
        return found.url_of("add")

    def page(self, row: Model) -> str:
        found = self._admin(type(row))
        return "" if found is None else found.url_of("change", row.pk)

    def _admin(self, model: type[Model]) -> VerbAdmin | None:
        try:
            found = self._site.get_model_admin(model)
        except NotRegistered:
            return None
        if isinstance(found, VerbAdmin) and found.has_view_permission(self._request):
            return found
        return None
