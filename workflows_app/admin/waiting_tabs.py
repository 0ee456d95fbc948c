"""What leads from one list of what runs wait for to the others, with how long each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.displays import capped
from workflows_app.admin.lists import Lists
from workflows_app.admin.row_page import RowAdmin
from workflows_app.models import Account, Event, Invocation, Run, Waiter

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as Words

MOST_COUNTED = 1_000
IN_BRIEF = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    label: Words
    url: str
    count: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    model: type[Model]
    label: Words
    conditions: Mapping[str, str] = field(default_factory=dict)


_LISTS = (
    _List(model=Waiter, label=_("Waiters")),
    _List(model=Event, label=_("Unclaimed events")),
    _List(model=Invocation, label=_("Open invocations"), conditions={"open": "yes"}),
)


class OpenFilter(admin.SimpleListFilter):
    """Whether the invoked run goes on, so that the other one waits for it."""

    title = _("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [("yes", _("Open")), ("no", _("Ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes":
                return open_ones(queryset)
            case "no":
                return queryset.exclude(child__status=Run.Status.RUNNING)
        return queryset


def open_ones(invocations: QuerySet[Invocation]) -> QuerySet[Invocation]:
    # The index of runs by status begins with the account.
    accounts = list(Account.objects.values_list("pk", flat=True))
    return invocations.filter(child__status=Run.Status.RUNNING, child__account__in=accounts)


class WaitingAdmin(RowAdmin):
    """One of these lists."""

    change_list_template = "admin/workflows_app/waiting/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        lists = Lists(self.admin_site, request)
        tabs = [self._tab(lists, each) for each in _LISTS if lists.url(each.model)]
        return super().changelist_view(request, {"tabs": tabs, **(extra_context or {})})

    def _tab(self, lists: Lists, each: _List) -> Tab:
        number = rows_of(lists, each.model).order_by()[:MOST_COUNTED].count()
        return Tab(
            label=each.label,
            url=lists.url(each.model, **each.conditions),
            count=capped(number, MOST_COUNTED),
            current=each.model is self.model,
        )


def rows_of(lists: Lists, model: type[Model]) -> QuerySet[Any]:
    """Those that the user may see; of invocations the open ones."""
    rows = lists.rows(model)
    if rows is None:
        return model._default_manager.none()
    return open_ones(rows) if model is Invocation else rows
