"""Processes that stand still for longer than their leases, then go on as if nothing had been."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.faults.conftest import LEASE, RESTART, Scene
from tests.faults.processes import wait_until

pytestmark = pytest.mark.processes


def test_a_worker_that_stood_still_for_longer_than_its_lease_writes_nothing_more(
    scene: Scene,
) -> None:
    accepted = scene.trigger(4, "faults-hold")
    # Without a watchdog, which would end the cluster that stands still.
    first = scene.cluster(2, WORKFLOWS_WATCHDOG="2m")
    wait_until(lambda: _holding(scene) == 4, 20, "all at work")

    still = first.having("worker")
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    scene.cluster(2, WORKFLOWS_WATCHDOG="2m")
    wait_until(lambda: _holding(scene) == 8, LEASE + RESTART, "all at work elsewhere")
    for pid in still:
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.5)
    scene.gate.touch()

    scene.wait_until_all_ended(RESTART)
    scene.check(accepted)
    executed = sorted(each.step for each in scene.executions())
    assert executed == ["first"] * 4 + ["hold"] * 8 + ["last"] * 4


@pytest.mark.timeout(120)
def test_workers_that_stand_still_in_turn_under_load_repeat_no_more_than_they_were_at(
    scene: Scene,
) -> None:
    web = scene.web(150, 0.05, "faults-mixed", "faults-async")
    first = scene.cluster(2, WORKFLOWS_WATCHDOG="2m")
    scene.cluster(2, WORKFLOWS_WATCHDOG="2m")

    workers = first.having("worker")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE + 0.5)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)

    accepted = web.wait(30)
    scene.wait_until_all_ended(LEASE + RESTART)
    scene.check(accepted, stood_still=workers)


def _holding(scene: Scene) -> int:
    return sum(each.step == "hold" for each in scene.executions())
