"""What leads from one list of what runs wait for to the others, with how long each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.row_page import RowAdmin
from workflows_app.admin.verb_admin import VerbAdmin
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
    query: str = ""


_LISTS = (
    _List(model=Waiter, label=_("Waits")),
    _List(model=Event, label=_("Events nobody has claimed")),
    _List(model=Invocation, label=_("Open invocations"), query="?open=yes"),
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
        tabs = [self._tab(request, each) for each in _LISTS if self._may_see(request, each.model)]
        return super().changelist_view(request, {"tabs": tabs, **(extra_context or {})})

    def _may_see(self, request: HttpRequest, model: type[Model]) -> bool:
        return self._admin_of(model).has_view_permission(request)

    def _admin_of(self, model: type[Model]) -> VerbAdmin:
        found = self.admin_site.get_model_admin(model)
        assert isinstance(found, VerbAdmin), "ours all are"  # noqa: S101
        return found

    def rows_of(self, request: HttpRequest, model: type[Model]) -> QuerySet[Any]:
        """Those that this user may see; of invocations the open ones."""
        if not self._may_see(request, model):
            return model._default_manager.none()
        rows = self._admin_of(model).get_queryset(request)
        return open_ones(rows) if model is Invocation else rows

    def _tab(self, request: HttpRequest, each: _List) -> Tab:
        number = self.rows_of(request, each.model).order_by()[: MOST_COUNTED + 1].count()
        name = f"admin:workflows_app_{each.model._meta.model_name}_changelist"
        url = reverse(name, current_app=self.admin_site.name)
        return Tab(
            label=each.label,
            url=f"{url}{each.query}",
            count=f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else str(number),
            current=each.model is self.model,
        )
