"""A scene: a database of its own, processes on it, and what they left behind."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.faults.app.workflows import AT_ONCE, STEPS
from tests.faults.databases import (
    Database,
    migrate,
    postgres_copy,
    postgres_server,
    sqlite_copy,
    sqlite_template,
)
from tests.faults.processes import Cluster, Web, wait_until

LEASE = 3.0
WATCHDOG = 3.0
RESTART = 12.0
"""Seconds in which a supervisor has a new cluster at work: two where nothing else runs, and up to
nine where fourteen others want two processors.
"""

_numbers = count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """These bring their own databases: a second pass on another configured one adds nothing."""
    if config.getoption("--only-database"):
        here = Path(__file__).parent
        config.hook.pytest_deselected(items=[item for item in items if here in item.path.parents])
        items[:] = [item for item in items if here not in item.path.parents]


@pytest.fixture(scope="session")
def sqlite_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with sqlite_template(tmp_path_factory.mktemp("faults")) as path:
        yield path


@pytest.fixture(scope="session")
def postgres_source() -> Iterator[tuple[str, str]]:
    """A server, and the name of a migrated database on it."""
    server, name = postgres_server(), f"faults_{os.getpid()}"
    with postgres_copy(server, name, "template1") as database:
        migrate(database.url)
        yield server, name


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            source = request.getfixturevalue("sqlite_source")
            yield stack.enter_context(sqlite_copy(source, tmp_path))
        else:
            server, source = request.getfixturevalue("postgres_source")
            name = f"{source}_{next(_numbers)}"
            yield stack.enter_context(postgres_copy(server, name, source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A line of the side file."""

    at: float
    run_id: str
    step: str
    pid: int
    recorded_before: bool


class Scene:
    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.gate = directory / "gate"
        self.trap = directory / "trap"
        self._side_file = directory / "executions.txt"
        self._directory = directory
        self._stack = ExitStack()
        self._logs: list[Path] = []

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database.url,
            "DJANGO_SETTINGS_MODULE": "tests.faults.app.settings",
            "FAULTS_SIDE_FILE": str(self._side_file),
            "FAULTS_GATE": str(self.gate),
            "FAULTS_TRAP": str(self.trap),
            "WORKFLOWS_LEASE": f"{LEASE:.0f}s",
            # A server has a hundred connections to give, and other tests may run beside these.
            "WORKFLOWS_THREADS": "4",
            "WORKFLOWS_WATCHDOG": f"{WATCHDOG:.0f}s",
            **changes,
        }

    def log(self) -> Path:
        path = self._directory / f"log-{len(self._logs)}.txt"
        self._logs.append(path)
        return path

    def cluster(self, workers: int = 2, **environment: str) -> Cluster:
        """Started, and waited for."""
        settings = self.environment(WORKFLOWS_WORKERS=str(workers), **environment)
        cluster = Cluster(settings, self.log())
        self._stack.callback(cluster.end)
        cluster.wait_until_running(workers)
        return cluster

    def web(self, count: int, pause: float, *names: str) -> Web:
        web = Web(self.environment(), self.log(), count, pause, *names)
        self._stack.callback(web.kill)
        return web

    def trigger(self, count: int, *names: str) -> list[str]:
        """The ids of runs that were started at once."""
        return self.web(count, 0.0, *names).wait(60)

    def close(self) -> None:
        self._stack.close()

    # -- what is there

    def executions(self) -> list[Execution]:
        text = self._side_file.read_text() if self._side_file.exists() else ""
        return [
            Execution(
                at=float(at), run_id=run, step=step, pid=int(pid), recorded_before=when == "again"
            )
            for at, run, step, pid, when in map(str.split, text.splitlines())
        ]

    def count(self, table: str, condition: str = "1 = 1") -> int:
        return int(self.database.query(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0])

    def live_runs(self) -> int:
        return self.count("workflows_app_run", "status = 'running'")

    def wait_until_all_ended(self, seconds: float) -> float:
        """How long it took. Fails once no step has begun for so long: what is left to do takes a
        busy machine longer than a quiet one.
        """
        started = time.monotonic()
        while self.live_runs():
            self._wait_for_progress(seconds)
        return time.monotonic() - started

    def _wait_for_progress(self, seconds: float) -> None:
        begun = len(self.executions())
        wait_until(
            lambda: not self.live_runs() or len(self.executions()) > begun,
            seconds,
            lambda: f"the end of runs{self.owed()}",
        )

    def owed(self) -> str:
        return f" (owed: {self.database.query('SELECT * FROM workflows_app_message')})"

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self._logs if path.exists())

    # -- what must hold in the end

    def check(self, accepted: list[str], stood_still: Collection[int] = ()) -> None:
        """Every accepted run has succeeded; nothing was recorded twice, lost, or done again.

        The processes that `stood_still` did so once, for longer than their leases. Each of their
        threads may then have done again what it was at: a step, or one of each parallel branch.
        """
        runs = self.database.query("SELECT id, run_id, workflow, status FROM workflows_app_run")
        assert {status for *_, status in runs} == {"succeeded"}
        assert set(accepted) <= {run_id for _, run_id, *_ in runs}
        assert self.count("workflows_app_message", "kind <> 'pruning'") == 0
        self._check_journals(runs)
        self._check_invocations(runs)
        self._check_executions({run_id: name for _, run_id, name, _ in runs}, stood_still)
        self.check_never_locked()

    def _check_journals(self, runs: list[tuple[Any, ...]]) -> None:
        steps = Counter(self.database.query("SELECT run_id, key FROM workflows_app_step"))
        assert steps == Counter((pk, key) for pk, _, workflow, _ in runs for key in STEPS[workflow])
        orders = Counter(
            run_id for (run_id,) in self.database.query("SELECT run_id FROM shop_order")
        )
        assert orders == Counter(
            run_id for _, run_id, workflow, _ in runs if "order" in STEPS[workflow]
        )

    def _check_invocations(self, runs: list[tuple[Any, ...]]) -> None:
        """Each run started one other."""
        invoked = self.database.query("SELECT parent_id, child_id FROM workflows_app_invocation")
        parents, children = ([row[side] for row in invoked] for side in (0, 1))
        assert Counter(parents) == Counter(
            pk for pk, _, workflow, _ in runs if "short" in STEPS[workflow]
        )
        assert len(set(children)) == len(children)

    def _check_executions(self, workflows: dict[str, str], stood_still: Collection[int]) -> None:
        again = [each for each in self.executions() if each.recorded_before]
        assert [each for each in again if each.pid not in stood_still] == []
        repeated: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for each in again:
            repeated[each.run_id, each.pid].append(each.step)
        for (run_id, _), steps in repeated.items():
            assert len(steps) == len(set(steps))
            assert len(steps) == 1 or set(steps) <= AT_ONCE[workflows[run_id]]

    def check_never_locked(self) -> None:
        assert re.findall(".*locked.*", self.logs()) == []


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(database, tmp_path)
    try:
        yield scene
    finally:
        scene.close()


class Lateness:
    """Watches how long there is work that is due and nobody claims any.

    How late the single message is tells more of the machine: after each kill the oldest come first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._done = threading.Event()
        self.worst = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        now = "julianday('now')" if self._database.url.startswith("sqlite") else "now()"
        late = (
            f"({now} - julianday(min(due_at))) * 86400"
            if self._database.url.startswith("sqlite")
            else f"extract(epoch FROM {now} - min(due_at))"
        )
        look = f"SELECT {late}, sum(claims) FROM workflows_app_message"
        last, since = None, time.monotonic()
        while not self._done.wait(0.2):
            ((seconds, claims),) = self._database.query(look)
            if claims != last:
                last, since = claims, time.monotonic()
            self.worst = max(self.worst, min(float(seconds or 0), time.monotonic() - since))


@pytest.fixture
def lateness(database: Database) -> Lateness:
    return Lateness(database)
