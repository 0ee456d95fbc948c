"""What is measured: the measures, the figures that each gives, and what this project aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Storage(StrEnum):
    """Where a contestant keeps its state, and how durably."""

    SQLITE_ROLLBACK = "sqlite-rollback"  #: rollback journal, synchronous FULL: SQLite's own default
    SQLITE_NORMAL = (
        "sqlite-normal"  #: WAL, synchronous NORMAL: a power cut may lose the last commits
    )
    SQLITE_FULL = "sqlite-full"  #: WAL, synchronous FULL: a commit survives a power cut
    POSTGRES = "postgres"  #: the server as it is configured
    REDIS = "redis"  #: no persistence

    @property
    def family(self) -> str:
        return self.value.partition("-")[0]

    def is_measured_beside(self, ours: Storage) -> bool:
        """Whether a peer here is set against us on `ours`: same durability, where it has one."""
        match self:
            case Storage.REDIS:
                return True
            case Storage.SQLITE_ROLLBACK:
                return ours in (Storage.SQLITE_FULL, Storage.SQLITE_ROLLBACK)
            case _:
                return self is ours


class Better(StrEnum):
    """Which way a figure improves; says how its ratio is formed."""

    HIGHER = "higher"
    LOWER = "lower"
    NEARER_ZERO = "nearer zero"  #: a growth in percent; no ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a measure, as a row of the table shows it."""

    key: str
    title: str
    unit: str
    better: Better


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesThePeer:
    """At least `factor` times better than the best of `peer` at the same durability."""

    peer: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AtMost:
    """No more than this, whatever the peers do."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast:
    """No less than this, whatever the peers do."""

    value: float


Target = TimesThePeer | AtMost | AtLeast

_PER_SECOND, _MS = "/s", "ms"

#: The pages of the admin that are measured, by the key of their figures.
CONSOLE_PAGES: Mapping[str, str] = {
    "list": "admin: runs",
    "deep": "admin: pages in the middle",
    "state": "admin: runs of a state",
    "workflow": "admin: runs of a workflow",
    "version": "admin: runs of a version",
    "label": "admin: runs with a label",
    "source": "admin: runs by what started them",
    "key": "admin: runs of a flow-control key",
    "date": "admin: runs by date",
    "several": "admin: several filters",
    "search": "admin: search",
    "letters": "admin: dead letters by group",
    "overview": "admin: overview",
    "run": "admin: a run of 1,000 steps",
}

MEASURES: Mapping[str, tuple[Figure, ...]] = {
    "throughput": (
        Figure(key="runs", title="10-step runs", unit=_PER_SECOND, better=Better.HIGHER),
        Figure(key="cpu", title="CPU of a 10-step run", unit=_MS, better=Better.LOWER),
    ),
    "tasks": (
        Figure(key="tasks", title="one-step runs / tasks", unit=_PER_SECOND, better=Better.HIGHER),
    ),
    "latency": (
        Figure(key="start_p50", title="trigger to start, p50", unit=_MS, better=Better.LOWER),
        Figure(key="start_p95", title="trigger to start, p95", unit=_MS, better=Better.LOWER),
        Figure(key="finish_p50", title="one-step run done, p50", unit=_MS, better=Better.LOWER),
        Figure(key="finish_p95", title="one-step run done, p95", unit=_MS, better=Better.LOWER),
    ),
    "inline": (
        Figure(key="one_p50", title="inline, 1 step, p50", unit=_MS, better=Better.LOWER),
        Figure(key="ten_p50", title="inline, 10 steps, p50", unit=_MS, better=Better.LOWER),
    ),
    "idle": (Figure(key="core", title="idle, of one core", unit="%", better=Better.LOWER),),
    "sleep": (
        Figure(key="late_p50", title="sleepers late, p50", unit=_MS, better=Better.LOWER),
        Figure(key="late_p95", title="sleepers late, p95", unit=_MS, better=Better.LOWER),
    ),
    "long": (
        Figure(key="step", title="long run, a step", unit=_MS, better=Better.LOWER),
        Figure(key="drift", title="long run, last over first", unit="%", better=Better.NEARER_ZERO),
    ),
    "fanout": (Figure(key="ms", title="fan-out of 100", unit=_MS, better=Better.LOWER),),
    "history": (
        Figure(key="empty", title="a run, nothing stored", unit=_MS, better=Better.LOWER),
        Figure(key="full", title="a run, much stored", unit=_MS, better=Better.LOWER),
        Figure(
            key="growth", title="growth with what is stored", unit="%", better=Better.NEARER_ZERO
        ),
    ),
    "http": (
        Figure(key="at_1", title="steps over HTTP, 1 run", unit=_PER_SECOND, better=Better.HIGHER),
        Figure(
            key="at_16", title="steps over HTTP, 16 runs", unit=_PER_SECOND, better=Better.HIGHER
        ),
        Figure(
            key="at_64", title="steps over HTTP, 64 runs", unit=_PER_SECOND, better=Better.HIGHER
        ),
        Figure(key="step_p50", title="a step over HTTP, p50", unit=_MS, better=Better.LOWER),
    ),
    "instances": (
        Figure(key="created", title="instances created", unit=_PER_SECOND, better=Better.HIGHER),
    ),
    "listing": (
        Figure(key="few", title="a page, 1,000 stored", unit=_MS, better=Better.LOWER),
        Figure(key="many", title="a page, 1,000,000 stored", unit=_MS, better=Better.LOWER),
        Figure(key="growth", title="the second over the first", unit="x", better=Better.LOWER),
    ),
    "console": tuple(
        figure
        for key, title in CONSOLE_PAGES.items()
        for figure in (
            Figure(key=f"{key}_p50", title=f"{title}, p50", unit=_MS, better=Better.LOWER),
            Figure(key=f"{key}_worst", title=f"{title}, worst", unit=_MS, better=Better.LOWER),
            Figure(key=f"{key}_queries", title=f"{title}", unit="queries", better=Better.LOWER),
        )
    ),
    "slow": (
        Figure(key="alone", title="100 fast runs", unit=_MS, better=Better.LOWER),
        Figure(key="beside", title="beside 200 slow ones", unit=_MS, better=Better.LOWER),
        Figure(key="growth", title="the second over the first", unit="x", better=Better.LOWER),
    ),
}

#: Our targets on SQLite as we ship it and on PostgreSQL alike, by measure and figure.
_ON_BOTH: Mapping[tuple[str, str], float] = {
    ("latency", "start_p50"): 6,
    ("latency", "finish_p50"): 10,
    ("idle", "core"): 3,
    ("sleep", "late_p95"): 10,
    ("long", "step"): 1,
    ("long", "drift"): 20,
    ("fanout", "ms"): 150,
    ("history", "growth"): 10,
    ("http", "step_p50"): 12,
    ("slow", "growth"): 2,
    ("listing", "growth"): 1.3,
}

_DIFFERENT: Mapping[tuple[str, str, Storage], Target] = {
    ("throughput", "runs", Storage.SQLITE_NORMAL): TimesThePeer(peer="dbos", factor=8),
    ("throughput", "runs", Storage.SQLITE_FULL): TimesThePeer(peer="dbos", factor=5),
    ("throughput", "runs", Storage.POSTGRES): TimesThePeer(peer="dbos", factor=6),
    ("http", "at_16", Storage.SQLITE_FULL): TimesThePeer(peer="bare", factor=0.2),
    ("http", "at_16", Storage.POSTGRES): TimesThePeer(peer="bare", factor=0.25),
    ("inline", "one_p50", Storage.SQLITE_FULL): AtMost(value=3),
    ("inline", "one_p50", Storage.POSTGRES): AtMost(value=5),
    ("instances", "created", Storage.POSTGRES): AtLeast(value=1500),
}

#: What we aim at, by measure, figure and storage.
TARGETS: Mapping[tuple[str, str, Storage], Target] = {
    **_DIFFERENT,
    **{("console", f"{page}_p50", Storage.POSTGRES): AtMost(value=300) for page in CONSOLE_PAGES},
    **{
        (measure, figure, storage): AtMost(value=value)
        for (measure, figure), value in _ON_BOTH.items()
        for storage in (Storage.SQLITE_FULL, Storage.POSTGRES)
    },
}
