"""Which runs are meant: one, or all that fulfil some conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from workflows_app.models import Account, Run, RunLabel
from workflows_app.models.runs import RunQuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`run` is a primary key; without it, what is not set does not matter."""

    account: Account | None = None
    run: int | None = None
    workflow: str = ""
    labels: tuple[str, ...] = ()

    def runs(self) -> RunQuerySet:
        return Run.objects.filter(self._condition("", "pk"))

    def within(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Of rows that belong to runs."""
        return rows.filter(self._condition("run__", "run"))

    def _condition(self, path: str, run: str) -> Q:
        if self.run is not None:
            return Q(**{run: self.run})
        condition = Q()
        if self.account is not None:
            condition &= Q(**{f"{path}account": self.account})
        if self.workflow:
            condition &= Q(**{f"{path}workflow": self.workflow})
        if self.labels:
            labelled = RunLabel.objects.filter(run=OuterRef(run), name__in=self.labels)
            condition &= Q(Exists(labelled))
        return condition
