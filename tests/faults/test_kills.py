"""SIGKILL, to anyone, at any moment."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from tests.faults.conftest import LEASE, RESTART, WATCHDOG, Lateness, Scene
from tests.faults.processes import Cluster, soon, wait_until

pytestmark = pytest.mark.processes

VICTIMS = {
    "busy worker": 5,
    "idle worker": 4,
    "pusher": 3,
    "monitor": 1,
    "sentinel": 2,
    "main process": 1,
    "whole tree": 2,
    "web process": 2,
}
"""Whom the twenty kills hit, in random order."""

RECOVERY = LEASE + WATCHDOG + RESTART
"""Seconds after which work must go on: in the worst case the lease of the dead runs out, and the
cluster has to be found silent, ended and started anew.
"""


def kill(victim: str, cluster: Cluster, scene: Scene) -> None:
    match victim:
        case "busy worker" | "idle worker":
            cluster.kill(_worker(victim, cluster, scene))
        case "pusher" | "monitor":
            cluster.kill(random.choice(soon(lambda: cluster.having(victim), f"a {victim}")))
        case "sentinel":
            cluster.kill(soon(cluster.sentinel, "a sentinel"))
        case "main process":
            cluster.kill(cluster.main)
        case "whole tree":
            cluster.kill_tree()


def _worker(victim: str, cluster: Cluster, scene: Scene) -> int:
    """The one that has begun a step last, or another."""
    workers = soon(lambda: cluster.having("worker"), "a worker")
    last = next((each.pid for each in scene.executions()[::-1] if each.pid in workers), workers[0])
    others = [pid for pid in workers if pid != last]
    return last if victim == "busy worker" or not others else random.choice(others)


@pytest.mark.timeout(240)
def test_whoever_is_killed_under_load_every_accepted_run_ends_and_no_step_is_repeated(
    scene: Scene, lateness: Lateness
) -> None:
    accepted: list[str] = []
    cluster = scene.cluster()
    web = scene.web(10_000, 0.35, "faults-mixed", "faults-async")
    victims = [victim for victim, times in VICTIMS.items() for _ in range(times)]
    random.shuffle(victims)

    with lateness:
        for victim in victims:
            _wait_for_progress(scene)
            cluster.wait_until_running(2, RECOVERY)
            time.sleep(random.uniform(0.0, 0.8))
            if victim == "web process":
                accepted += web.kill()
                web = scene.web(10_000, 0.35, "faults-mixed", "faults-async")
            else:
                kill(victim, cluster, scene)
        _wait_for_progress(scene)
        accepted += web.kill()
        scene.wait_until_all_ended(RECOVERY + LEASE)

    assert len(accepted) > 20
    scene.check(accepted)
    assert lateness.worst < RECOVERY
    wait_until(lambda: not cluster.left_behind(), 5, "the end of what was replaced")


def _wait_for_progress(scene: Scene) -> None:
    """Until a step has begun after this moment."""
    now = time.time()
    wait_until(
        lambda: any(each.at > now for each in scene.executions()[-5:]), RECOVERY, "another step"
    )


def test_a_worker_that_is_killed_as_it_tells_of_its_work_leaves_no_cluster_that_is_stuck(
    scene: Scene,
) -> None:
    cluster = scene.cluster()
    doomed = cluster.having("worker")
    scene.trap.touch()

    accepted = scene.trigger(6, "faults-mixed")
    wait_until(lambda: not scene.trap.exists(), 20, "a death")

    wait_until(
        lambda: len(set(cluster.having("worker")) - set(doomed)) >= 1, RECOVERY, "another worker"
    )
    cluster.wait_until_running(2, RECOVERY)
    scene.wait_until_all_ended(RECOVERY)
    scene.check(accepted)


@pytest.mark.parametrize("name", ["faults-undone", "faults-terminated"])
def test_who_takes_over_from_a_cluster_that_is_killed_while_it_undoes_goes_on_with_that(
    name: str, scene: Scene
) -> None:
    scene.trigger(3, name)
    cluster = scene.cluster()
    wait_until(lambda: _executed(scene)["hold"] == 3, 20, "all undoing")

    cluster.kill_tree()
    wait_until(lambda: _executed(scene)["hold"] == 6, RECOVERY, "all undoing elsewhere")
    scene.gate.touch()
    scene.wait_until_all_ended(RECOVERY)

    assert _executed(scene) == {"first": 3, "second": 3, "undo-second": 3, "hold": 6}
    assert scene.count("workflows_app_run", "status = 'canceled'") == 3
    assert scene.count("workflows_app_step", "kind = 'rollback' AND error IS NULL") == 9


def _executed(scene: Scene) -> Counter[str]:
    """How often each step has begun."""
    return Counter(each.step for each in scene.executions())
