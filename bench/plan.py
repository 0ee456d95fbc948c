"""Who takes part, in which measures, on which storage, with how much work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.catalogue import MEASURES, Storage
from bench.jobs import Job, Sizes

FULL = Sizes(
    variants=4,
    seconds=4,
    our_runs=2000,
    tasks=2000,
    latency_samples=100,
    inline_samples=100,
    idle_seconds=10,
    sleepers=200,
    long_steps=5000,
    fan_outs=5,
    history=100_000,
    http_steps=50,
    http_rounds=10,
    instances=10_000,
    listed=1_000_000,
    console_runs=1_000_000,
)
QUICK = Sizes(
    variants=1,
    seconds=0.6,
    our_runs=300,
    tasks=500,
    latency_samples=20,
    inline_samples=30,
    idle_seconds=1.5,
    sleepers=200,
    long_steps=1000,
    fan_outs=2,
    history=5_000,
    http_steps=20,
    http_rounds=5,
    instances=2_000,
    listed=50_000,
    console_runs=20_000,
)

OVER_HTTP = frozenset({"http", "slow"})
"""The measures of runs whose endpoint is elsewhere."""
DIALECT = frozenset({"instances", "listing"})
"""The measures of the API of Cloudflare's clients."""
CONSOLE = frozenset({"console"})
"""The measure of the admin."""
SHIPPED = (Storage.SQLITE_FULL, Storage.POSTGRES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A system that is measured: `module` runs in a process of its own and needs `package`."""

    name: str
    module: str
    package: str
    storages: Mapping[str, tuple[Storage, ...]]
    """The measures it takes part in, and where each is taken."""
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Configurations of which the best counts, the likeliest first; the table names the one."""
    settings: str | None = None
    """Its Django settings module, where it is a Django project."""


OURS = Contestant(
    name="ours",
    module="bench.ours",
    package="workflows_app",
    settings="bench.settings",
    storages=dict.fromkeys(MEASURES.keys() - OVER_HTTP - DIALECT - CONSOLE, SHIPPED)
    | {"throughput": (Storage.SQLITE_NORMAL, *SHIPPED)},
)
OURS_HTTP = Contestant(
    name="ours",
    module="bench.ours_http",
    package="workflows_app",
    settings="bench.settings",
    storages=dict.fromkeys(OVER_HTTP, SHIPPED),
)
OURS_DIALECT = Contestant(
    name="ours",
    module="bench.ours_dialect",
    package="workflows_app",
    settings="bench.settings",
    storages=dict.fromkeys(DIALECT, SHIPPED),
)
OURS_CONSOLE = Contestant(
    name="ours",
    module="bench.ours_console",
    package="workflows_app",
    settings="bench.settings",
    storages={"console": (Storage.POSTGRES,)},
)

PEERS = (
    Contestant(
        name="dbos",
        module="bench.peers.dbos",
        package="dbos",
        storages={
            "throughput": (Storage.SQLITE_ROLLBACK, Storage.SQLITE_NORMAL, *SHIPPED),
            "latency": SHIPPED,
            "inline": SHIPPED,
            "idle": SHIPPED,
            "sleep": SHIPPED,
            "long": SHIPPED,
            "fanout": SHIPPED,
            "history": SHIPPED,
        },
        variants={"throughput": ("1 thread", "2 threads", "4 threads", "queue")},
    ),
    Contestant(
        name="celery",
        module="bench.peers.celery",
        package="celery",
        storages=dict.fromkeys(("tasks", "latency", "idle"), (Storage.REDIS,)),
    ),
    Contestant(
        name="django-q2",
        module="bench.peers.django_q2",
        package="django_q",
        settings="bench.peers.django_q2_settings",
        storages=dict.fromkeys(("tasks", "latency", "idle"), SHIPPED),
    ),
    Contestant(
        name="bare",
        module="bench.peers.bare",
        package="workflows_app",
        settings="bench.settings",
        storages={"http": SHIPPED},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The part of the plan that is asked for."""

    measures: tuple[str, ...]
    contestants: tuple[Contestant, ...]
    families: frozenset[str]
    """Databases, by `Storage.family`. Redis is not chosen: it comes with its contestant."""
    sizes: Sizes

    def jobs(self) -> Iterator[tuple[Contestant, Job]]:
        """Every job, such that what is compared runs close together in time."""
        for measure in self.measures:
            for storage in Storage:
                if storage.family in self.families | {Storage.REDIS.family}:
                    yield from self._side_by_side(measure, storage)

    def _side_by_side(self, measure: str, storage: Storage) -> Iterator[tuple[Contestant, Job]]:
        for contestant in self.contestants:
            if storage not in contestant.storages.get(measure, ()):
                continue
            variants = contestant.variants.get(measure, ("",))
            for variant in variants[: self.sizes.variants]:
                yield (
                    contestant,
                    Job(measure=measure, storage=storage, variant=variant, sizes=self.sizes),
                )
