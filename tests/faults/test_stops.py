"""SIGTERM: leases are given back at once, nothing is lost, and the processes end in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.faults.conftest import RESTART, Scene
from tests.faults.processes import Cluster, wait_until

pytestmark = pytest.mark.processes

GRACE = 1.0
IN_TIME = GRACE + 4.0
"""Seconds for all processes to end: the grace for steps in flight, and what django-q2 takes."""


def to_the_main_process(group: int) -> None:
    os.kill(group, signal.SIGTERM)


def to_all_processes(group: int) -> None:
    """As systemd does, unless it is told otherwise."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)


signals = pytest.mark.parametrize("signalled", [to_the_main_process, to_all_processes])


def a_cluster(scene: Scene, **environment: str) -> Cluster:
    # A lease that outlasts the test: what is due sooner was given back.
    settings = {"WORKFLOWS_LEASE": "10m", "WORKFLOWS_SHUTDOWN_GRACE": f"{GRACE}s", **environment}
    return scene.cluster(2, **settings)


def leased(scene: Scene) -> int:
    return scene.count("workflows_app_message", "token IS NOT NULL")


def holding(scene: Scene) -> int:
    """How many steps have begun that last until they are told to end."""
    return sum(each.step == "hold" for each in scene.executions())


@signals
def test_a_step_that_outlasts_the_grace_is_given_back_and_begun_again_elsewhere_at_once(
    scene: Scene, signalled: Callable[[int], None]
) -> None:
    accepted = scene.trigger(3, "faults-hold")
    first = a_cluster(scene)
    wait_until(lambda: holding(scene) == 3, 20, "all at work")
    a_cluster(scene)

    signalled_at = time.time()
    first.stop(signalled, IN_TIME)
    wait_until(lambda: holding(scene) == 6, 1, "all at work elsewhere")

    assert max(each.at for each in scene.executions()) - signalled_at < GRACE + 2
    scene.gate.touch()
    scene.wait_until_all_ended(RESTART)
    scene.check(accepted)
    executed = sorted(each.step for each in scene.executions())
    assert executed == ["first"] * 3 + ["hold"] * 6 + ["last"] * 3


@signals
def test_a_step_that_ends_within_the_grace_is_recorded_and_not_begun_again(
    scene: Scene, signalled: Callable[[int], None]
) -> None:
    accepted = scene.trigger(3, "faults-hold")
    first = a_cluster(scene, WORKFLOWS_SHUTDOWN_GRACE="10s")
    wait_until(lambda: holding(scene) == 3, 20, "all at work")

    def signal_and_open_the_gate(group: int) -> None:
        signalled(group)
        time.sleep(0.3)
        scene.gate.touch()

    first.stop(signal_and_open_the_gate, IN_TIME)
    assert leased(scene) == 0

    a_cluster(scene)
    scene.wait_until_all_ended(RESTART)
    scene.check(accepted)
    executed = sorted(each.step for each in scene.executions())
    assert executed == ["first"] * 3 + ["hold"] * 3 + ["last"] * 3


@signals
def test_stops_under_load_lose_nothing_and_leave_no_lease(
    scene: Scene, signalled: Callable[[int], None]
) -> None:
    web = scene.web(120, 0.03, "faults-mixed", "faults-async", "faults-short")
    for _ in range(3):
        cluster = a_cluster(scene)
        time.sleep(0.7)
        cluster.stop(signalled, IN_TIME)
        assert leased(scene) == 0, scene.owed() + scene.logs()

    accepted = web.wait(30)
    a_cluster(scene)
    scene.wait_until_all_ended(20)
    scene.check(accepted)
    assert [each for each in scene.executions() if each.recorded_before] == []


@signals
def test_an_idle_cluster_ends_in_time(scene: Scene, signalled: Callable[[int], None]) -> None:
    a_cluster(scene).stop(signalled, IN_TIME)
    assert "Traceback" not in scene.logs()
