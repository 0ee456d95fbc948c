"""Pages of the list of runs: by place instead of number, without counting, each at a cost that does
not grow with what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from workflows_app.admin.activity import activities_of
from workflows_app.admin.input_filters import primary_key_in
from workflows_app.admin.linked import links_of
from workflows_app.admin.run_filters import (
    DateFilter,
    FlowControlFilter,
    LabelFilter,
    SourceFilter,
    StartedFilter,
    StateFilter,
    VersionFilter,
    WorkflowFilter,
)
from workflows_app.models import Account, Attempt, Run, RunLabel

SIZES = (50, 100)
LOOKED_AT = 3_000
"""So many of the runs that one filter finds are held against the others for a page. Where nothing
matches both of two common things, all that either finds would be read in vain.
"""
_NARROWING = (LabelFilter, VersionFilter, FlowControlFilter, WorkflowFilter, SourceFilter)
"""The filters that have an index, likely to find the fewest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page begins: at the newest run, or before or after one."""

    before: int | None = None
    after: int | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> Place:
        before, after = (primary_key_in(request.GET.get(name)) for name in ("before", "after"))
        return cls(before=before) if before else cls(after=after)

    def cut(self, runs: QuerySet[Any], key: str = "pk") -> QuerySet[Any]:
        """In the order in which they are read: from this place on."""
        if self.after is not None:
            return runs.filter(**{f"{key}__gt": self.after}).order_by(key)
        if self.before is not None:
            runs = runs.filter(**{f"{key}__lt": self.before})
        return runs.order_by(f"-{key}")


class RunChangeList(ChangeList):
    places = ("before", "after")
    """Parameters that no filter keeps."""
    size_param = "per"

    older: str | None = None
    newer: str | None = None
    has_accounts = False
    """Whether there are several."""
    looked_at: int | None = None
    """How many runs of those that one filter finds were held against the others, if not all."""

    def get_filters_params(self, params: Any = None) -> Any:
        own = (*self.places, self.size_param)
        found = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in own}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        new = dict.fromkeys(self.places) | dict(new_params or {})
        return super().get_query_string(new, remove)

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Run]:
        # Most indexes begin with the account, though people seldom choose one.
        accounts = list(Account.objects.values_list("pk", flat=True))
        self.has_accounts = len(accounts) > 1
        self.root_queryset = self.root_queryset.filter(account__in=accounts)
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        size = primary_key_in(request.GET.get(self.size_param))
        self.list_per_page = size if size in SIZES else SIZES[0]
        runs = self._read(request)
        self._tell(request, runs)
        self.result_list = runs
        self.result_count = self.full_result_count = len(runs)
        self.show_full_result_count = self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(runs, self.list_per_page)

    @property
    def is_whole(self) -> bool:
        """Whether there are no other pages."""
        return not (self.older or self.newer)

    @property
    def newest(self) -> str:
        return self.get_query_string()

    @property
    def sizes(self) -> list[tuple[int, str]]:
        """To choose from, each with its address; empty for the one in use."""
        return [
            (size, "" if size == self.list_per_page else self.get_query_string({"per": size}))
            for size in SIZES
        ]

    def _read(self, request: HttpRequest) -> list[Run]:
        place = Place.of(request)
        wanted = self.list_per_page + 1
        keys = self._narrowed(request, place)
        found = self.queryset if keys is None else self.queryset.filter(pk__in=keys)
        rows: list[Run] = list(place.cut(found)[:wanted])
        more = len(rows) == wanted
        rows = rows[: self.list_per_page]
        edge = rows[-1].pk if more else None
        if not more and keys is not None and len(keys) == LOOKED_AT:
            edge, self.looked_at = keys[-1], LOOKED_AT
        if place.after is not None:
            rows.reverse()
            self.newer = self.get_query_string({"after": edge}) if edge else None
            self.older = self.get_query_string({"before": rows[-1].pk if rows else place.after + 1})
        else:
            self.older = self.get_query_string({"before": edge}) if edge else None
            if place.before is not None:
                first = rows[0].pk if rows else place.before - 1
                self.newer = self.get_query_string({"after": first})
        return rows

    def _narrowed(self, request: HttpRequest, place: Place) -> list[int] | None:
        """The next runs that one filter finds, if there are several; all of them unless they are
        `LOOKED_AT`. None where the database is quick by itself.
        """
        active = [spec for spec in self.filter_specs if any(spec.used_parameters.values())]
        spans = [spec.span for spec in active if isinstance(spec, StartedFilter | DateFilter)]
        label = self._label(active)
        kinds = {type(spec) for spec in active}
        if label is not None:
            keys = place.cut(RunLabel.objects.filter(name=label), "run_id")
            for span in spans:
                keys = span.cut(keys, "run_id")
            return list(keys.values_list("run_id", flat=True)[:LOOKED_AT])
        narrowing = [kind for kind in _NARROWING if kind in kinds]
        if len(narrowing) + (StateFilter in kinds) < 2 or self._is_one_index(active, kinds):
            return None
        chosen = next(spec for spec in active if type(spec) is narrowing[0])
        found = place.cut(chosen.queryset(request, self.root_queryset))
        for span in spans:
            found = span.cut(found, "pk")
        return list(found.values_list("pk", flat=True)[:LOOKED_AT])

    def _label(self, active: list[Any]) -> str | None:
        spec = next((spec for spec in active if isinstance(spec, LabelFilter)), None)
        return spec.value("label") or None if spec else None

    def _is_one_index(self, active: list[Any], kinds: set[type]) -> bool:
        """Workflow and stored status have an index together, in the order of runs in an account."""
        is_of_one = not self.has_accounts or any(
            "account" in str(key) for key in self.filter_params
        )
        if not is_of_one or kinds & {*_NARROWING, StateFilter} != {WorkflowFilter, StateFilter}:
            return False
        return any(isinstance(spec, StateFilter) and spec.has_index for spec in active)

    def _tell(self, request: HttpRequest, runs: list[Run]) -> None:
        """What the columns say, of all rows at once."""
        activities = activities_of(runs)
        failed = Attempt.objects.filter(run__in=runs).values_list("run").annotate(Count("pk"))
        counts = dict(failed.order_by())
        labels = {label for run in runs for label in run.label_list}
        links = links_of(labels, request, self.model_admin.admin_site)
        for row in runs:
            run: Any = row
            run.activity = activities[run.pk]
            run.failed_attempts = counts.get(run.pk, 0)
            run.object_links = links
