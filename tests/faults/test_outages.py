"""The database goes away and comes back: the workers recover by themselves."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import LEASE, Scene
from tests.faults.databases import Database, Line, PostgresDatabase, SqliteFile
from tests.faults.processes import Cluster, wait_until

pytestmark = pytest.mark.processes

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

BACK_AT_WORK = LEASE + 12.0
"""Seconds from the database's return until all is worked off, on a busy machine: threads try each
second, and what could not be given back waits for its lease to run out.
"""


def processes(cluster: Cluster) -> set[int]:
    sentinel = {cluster.main, cluster.sentinel() or 0}
    return sentinel.union(*(cluster.having(role) for role in ("worker", "pusher", "monitor")))


def a_cluster(scene: Scene, **environment: str) -> Cluster:
    # The watchdog stays out of it: workers and pusher recover by themselves.
    return scene.cluster(2, WORKFLOWS_WATCHDOG="2m", **environment)


def in_the_middle(scene: Scene) -> None:
    """Until some runs are finished and others are not."""
    wait_until(
        lambda: len(scene.executions()) > 20 and bool(scene.live_runs()), 20, "the middle of work"
    )


@ON_POSTGRESQL
def test_workers_recover_when_the_line_to_the_database_is_cut_and_mended(
    scene: Scene, database: Database
) -> None:
    line = Line(database.url)
    cluster = a_cluster(scene, DATABASE_URL=line.url)
    before = processes(cluster)
    web = scene.web(120, 0.03, "faults-mixed", "faults-async")
    in_the_middle(scene)

    for away in (0.3, 2.5):
        line.cut()
        time.sleep(away)
        line.mend()
        time.sleep(1.0)
    accepted = web.wait(20)

    scene.wait_until_all_ended(BACK_AT_WORK)
    assert processes(cluster) == before
    scene.check(accepted)


@ON_POSTGRESQL
def test_workers_recover_when_the_server_ends_their_sessions(
    scene: Scene, database: Database
) -> None:
    assert isinstance(database, PostgresDatabase)
    cluster = a_cluster(scene)
    before = processes(cluster)
    accepted = scene.trigger(120, "faults-mixed", "faults-async")
    in_the_middle(scene)

    for _ in range(4):
        wait_until(lambda: database.sessions() > 2, BACK_AT_WORK, "some sessions")
        database.end_sessions()
        time.sleep(0.4)

    scene.wait_until_all_ended(BACK_AT_WORK)
    assert processes(cluster) == before
    scene.check(accepted)


@ON_POSTGRESQL
def test_an_idle_cluster_hears_the_doorbell_again_after_its_sessions_were_ended(
    scene: Scene, database: Database
) -> None:
    assert isinstance(database, PostgresDatabase)
    cluster = a_cluster(scene)
    before = processes(cluster)
    scene.trigger(10, "faults-short")
    scene.wait_until_all_ended(LEASE)

    assert database.sessions() > 2
    database.end_sessions()
    time.sleep(0.1)
    accepted = scene.trigger(10, "faults-short")

    assert scene.wait_until_all_ended(2.5) < 2.5
    assert processes(cluster) == before
    scene.check(accepted)


@ON_SQLITE
def test_workers_wait_while_someone_else_holds_sqlite_s_lock(
    scene: Scene, database: Database
) -> None:
    assert isinstance(database, SqliteFile)
    cluster = a_cluster(scene)
    before = processes(cluster)
    web = scene.web(120, 0.03, "faults-mixed", "faults-async")
    in_the_middle(scene)

    for held in (0.5, LEASE + 1):
        with database.locked():
            time.sleep(held)
        time.sleep(0.5)
    accepted = web.wait(20)

    scene.wait_until_all_ended(BACK_AT_WORK)
    assert processes(cluster) == before
    scene.check(accepted)
    assert "Traceback" not in scene.logs()
