"""Storing all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from workflows_app.engine import clock
from workflows_app.engine.database import connection, joining
from workflows_app.engine.ports import get_catalogue
from workflows_app.management.seeding.copying import ROWS_AT_ONCE, Originals, copy, reserve
from workflows_app.management.seeding.lines import LINES
from workflows_app.management.seeding.live import LONG, make_live, make_long, make_varied
from workflows_app.management.seeding.originals import Site, originals
from workflows_app.models import (
    Account,
    Attempt,
    DeadLetter,
    Definition,
    FlowControl,
    Invocation,
    Run,
    RunLabel,
    Step,
    Version,
)

PERIOD = timedelta(days=30)
COPIED = 1_000
"""How many runs are made one by one before they are copied."""
SHOWN = 3
"""Runs that show what a page may have to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """How many of each there are now."""

    runs: int
    live: int
    steps: int
    dead_letters: int


def plant(
    account: Account, runs: int, steps: int, tell: Callable[[int], None] = lambda _: None
) -> Planted:
    """Store so many runs, with so many steps each on average. `tell` is told how many there are,
    now and then.
    """
    now = clock.now()
    site = _site(account, now)
    live = min(max(runs // 100, min(50, runs // 5)), 2_000)
    times = max(1, runs // COPIED)
    count = max(1, (runs - live - SHOWN) // times)
    live = max(0, runs - times * count - SHOWN)
    first = reserve(times * count + live + SHOWN)
    apart = (PERIOD - timedelta(hours=3)) / times
    made = Originals(first=first, count=count, apart=apart)
    written = originals(site, made, steps, now - PERIOD)
    with joining():
        written.store()
    _copy_all(made, times, steps, tell)
    newest = first + times * count
    paused, _ = FlowControl.objects.update_or_create(
        account=account, key="seed-paused", defaults={"parallelism": 1, "paused": True}
    )
    with joining():
        make_live(site, newest, live, now, paused)
        make_long(site, newest + live, now)
        make_varied(site, newest + live + 1, now)
    _analyse()
    return Planted(
        runs=times * count + live + SHOWN,
        live=live,
        steps=times * len(written.steps) + live + LONG,
        dead_letters=times * len(written.letters),
    )


def _copy_all(made: Originals, times: int, steps: int, tell: Callable[[int], None]) -> None:
    at_once = max(1, ROWS_AT_ONCE // (made.count * max(1, steps)))
    for begin in range(1, times, at_once):
        copies = range(begin, min(begin + at_once, times))
        with joining():
            copy(Run, made, copies, own={"run_id": "run_id || '-' || copy.n"})
            for model in (Step, Attempt, RunLabel, DeadLetter, Invocation):
                copy(model, made, copies)
        tell(copies.stop * made.count)


def _site(account: Account, now: datetime) -> Site:
    control, _ = FlowControl.objects.get_or_create(
        account=account, key="payments", defaults={"parallelism": 10, "rate": 100}
    )
    versions = {line.workflow: _versions(account, line.workflow, now) for line in LINES}
    return Site(account=account, versions=versions, flow_control=control)


def _versions(account: Account, workflow: str, now: datetime) -> Sequence[Version]:
    """Those there are, or three of the last month."""
    definition, _ = Definition.objects.get_or_create(
        account=account, name=workflow, defaults={"created_at": now - PERIOD, "modified_at": now}
    )
    known = list(definition.versions.order_by("pk"))
    if known:
        return known
    return [
        Version.objects.create(
            definition=definition,
            created_at=now - timedelta(days=age),
            **_code(workflow, revision),
        )
        for revision, age in ((1, 30), (2, 12), (3, 3))
    ]


def _code(workflow: str, revision: int) -> Mapping[str, str | None]:
    """As it is registered here, if it is, the last time; before that, with a line that differs."""
    code = get_catalogue().code_of(workflow)
    name = workflow.replace("-", "_")
    source = code.source if code else f"def {name}(context):\n    return context.run_id\n"
    digest = code.digest if code else sha256(source.encode()).hexdigest()
    if revision < 3:
        source = f"# revision {revision}\n{source}"
        digest = sha256(source.encode()).hexdigest()
    return {
        "class_name": code.class_name if code else name,
        "script_name": code.script_name if code else "seeded",
        "digest": digest,
        "source": source,
        "graph": get_catalogue().graph_of(workflow),
    }


def _analyse() -> None:
    """As autovacuum would do a little later."""
    vacuum = connection().vendor == "postgresql" and not connection().in_atomic_block
    with connection().cursor() as cursor:
        if connection().vendor in ("postgresql", "sqlite"):
            cursor.execute("VACUUM ANALYZE" if vacuum else "ANALYZE")
