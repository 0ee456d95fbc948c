"""Who may see what, and do what, in the admin.

Django's own permissions say what somebody may see of a model (`view_run`), and whether they may use
all verbs on it (`change_run`) or single ones (`cancel_run`). Limits of groups say of which
workflows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

from workflows_app.models import WorkflowLimit

_KNOWN = "_workflows_app_limits"


def allowed_workflows(user: Any) -> frozenset[str] | None:
    """The workflows that this user is limited to; None when there is no limit. Read once for each
    object of a user, as the permissions of Django are.
    """
    if not user.is_active or user.is_superuser:
        return None
    if not hasattr(user, _KNOWN):
        limits = WorkflowLimit.objects.filter(group__in=user.groups.all())
        setattr(user, _KNOWN, frozenset(limits.values_list("workflow", flat=True)) or None)
    known: frozenset[str] | None = getattr(user, _KNOWN)
    return known


class ScopedAdmin(admin.ModelAdmin):
    """Shows limited users the rows of their workflows alone."""

    workflow_path: str | None = None
    """The lookup that leads to the name of a row's workflow. Rows of a model without one belong to
    no workflow: limited users do not see them.
    """

    linked_by: tuple[str, ...] = ()
    """Columns by which links of other pages find rows in the list, besides relations."""

    def _is_closed(self, request: HttpRequest) -> bool:
        return self.workflow_path is None and allowed_workflows(request.user) is not None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        allowed = allowed_workflows(request.user)
        if allowed is None:
            return rows
        if self.workflow_path is None:
            return rows.none()
        return rows.filter(**{f"{self.workflow_path}__in": allowed})

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By relations, and by what the list offers. Django lets an address ask for any column of
        the model: a key that is never shown could be guessed letter by letter, by what is found.
        """
        column = lookup.split(LOOKUP_SEP)[0]
        try:
            field = self.opts.get_field(column)
        except FieldDoesNotExist:
            is_offered = True  # by a filter of the list; Django refuses it otherwise
        else:
            is_offered = field.is_relation or column in {*self._filtered(), *self.linked_by}
        return is_offered and super().lookup_allowed(lookup, value, request)

    def _filtered(self) -> Iterator[str]:
        for spec in self.list_filter:
            known = spec[0] if isinstance(spec, tuple | list) else spec
            yield str(getattr(known, "parameter_name", known))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not self._is_closed(request) and super().has_add_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not self._is_closed(request) and super().has_view_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not self._is_closed(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not self._is_closed(request) and super().has_delete_permission(request, obj)
