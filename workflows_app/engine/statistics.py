"""How runs have fared of late, at a cost that does not grow with how many there are: of many, some
are looked at, as far apart from each other as it takes.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workflows_app.models import Run

SAMPLE = 3_000
"""How many runs are looked at, at most."""

Status = Run.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Of a period: its length is that of all others."""

    began_at: datetime
    runs: Counter[str]
    """How many of those that started in it are now in each status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Of the runs of one workflow that started in a period."""

    workflow: str
    """Empty for other URLs."""
    runs: Counter[str]
    """How many are now in each status."""
    durations: Sequence[timedelta] = field(repr=False)
    """From the start to the end of those that were looked at and succeeded, the shortest first."""

    @property
    def started(self) -> int:
        return self.runs.total()

    @property
    def failure_rate(self) -> float | None:
        return failure_rate(self.runs)

    def within(self, share: float) -> timedelta | None:
        """The time that this share of them took at most."""
        if not self.durations:
            return None
        return self.durations[min(int(len(self.durations) * share), len(self.durations) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Of the runs that started in a period. Numbers are estimates unless all were looked at."""

    parts: Sequence[Part]
    paces: Sequence[Pace]
    """Of the workflows with most runs first."""
    one_in: int
    """Of how many runs one was looked at."""
    looked_at: int

    @property
    def runs(self) -> Counter[str]:
        return sum((part.runs for part in self.parts), Counter[str]())

    @property
    def is_estimate(self) -> bool:
        return self.one_in > 1


@dataclass(frozen=True, slots=True)
class _Seen:
    workflow: str
    status: str
    created_at: datetime
    ended_at: datetime | None
    account_id: int


def failure_rate(runs: Counter[str]) -> float | None:
    """Of those that have succeeded or failed; None where there are none."""
    decided = runs[Status.FAILED] + runs[Status.SUCCEEDED]
    return runs[Status.FAILED] / decided if decided else None


def trend(
    until: datetime,
    parts: int,
    length: timedelta,
    *,
    workflows: Collection[str] | None = None,
    accounts: Collection[int] | None = None,
) -> Trend:
    """Over so many parts of this length, of these workflows and accounts alone if any are named. In
    four queries at most.
    """
    since = until - parts * length
    all_seen, one_in = _look(since)
    seen = [
        each
        for each in all_seen
        if (workflows is None or each.workflow in workflows)
        and (accounts is None or each.account_id in accounts)
    ]
    counted = [Counter[str]() for _ in range(parts)]
    for each in seen:
        counted[min((each.created_at - since) // length, parts - 1)][each.status] += one_in
    return Trend(
        parts=[
            Part(began_at=since + number * length, runs=runs) for number, runs in enumerate(counted)
        ],
        paces=sorted(_paces(seen, one_in), key=lambda pace: (-pace.started, pace.workflow)),
        one_in=one_in,
        looked_at=len(seen),
    )


def _look(since: datetime) -> tuple[list[_Seen], int]:
    """At what started since then, evenly spread, and at one of how many."""
    started = Run.objects.filter(created_at__gte=since)
    keys: Iterable[int]
    keys = list(started.order_by("-created_at").values_list("pk", flat=True)[: SAMPLE + 1])
    one_in = 1
    if len(keys) > SAMPLE:
        # Keys come in the order of the starts, and few are missing between those that are kept.
        # Many may have started at once.
        first = started.order_by("created_at", "pk").values_list("pk", flat=True)[:1]
        last = Run.objects.order_by("-pk").values_list("pk", flat=True)[:1]
        oldest, newest = first.get(), last.get()
        one_in = -(-(newest - oldest + 1) // SAMPLE)
        # By chance within each stretch: what comes in turns would be met at the same turn always.
        chance = random.Random(oldest)  # noqa: S311 - keeps no secret
        stretches = range(oldest, newest + 1, one_in)
        keys = [first_key + chance.randrange(one_in) for first_key in stretches]
    rows = started.filter(pk__in=keys).order_by()
    columns = rows.values_list("workflow", "status", "created_at", "ended_at", "account_id")
    return [_Seen(*row) for row in columns], one_in


def _paces(seen: Iterable[_Seen], one_in: int) -> Iterator[Pace]:
    by_workflow: defaultdict[str, list[_Seen]] = defaultdict(list)
    for each in seen:
        by_workflow[each.workflow].append(each)
    for workflow, runs in by_workflow.items():
        counted = Counter({status: one_in * n for status, n in _statuses(runs).items()})
        yield Pace(workflow=workflow, runs=counted, durations=sorted(_durations(runs)))


def _statuses(runs: Iterable[_Seen]) -> Counter[str]:
    return Counter(run.status for run in runs)


def _durations(runs: Iterable[_Seen]) -> Iterator[timedelta]:
    for run in runs:
        if run.status == Status.SUCCEEDED and run.ended_at is not None:
            yield run.ended_at - run.created_at
