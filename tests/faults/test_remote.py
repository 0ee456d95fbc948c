"""SIGKILL while runs go on whose endpoint is elsewhere, which itself fails and dawdles."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import LEASE, RESTART, WATCHDOG, Lateness, Scene
from tests.faults.elsewhere import LATE, Elsewhere
from tests.faults.processes import soon, wait_until

pytestmark = pytest.mark.processes

VICTIMS = {"worker": 2, "whole tree": 1, "web process": 2, "endpoint": 2}
RECOVERY = LEASE + WATCHDOG + RESTART


@pytest.fixture
def elsewhere(scene: Scene, tmp_path: Path) -> Iterator[Elsewhere]:
    made = Elsewhere(scene, tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(240)
def test_whoever_is_killed_every_accepted_run_of_an_endpoint_elsewhere_ends_as_it_should(
    scene: Scene, elsewhere: Elsewhere, lateness: Lateness
) -> None:
    cluster = scene.cluster(WORKFLOWS_ALLOW_PRIVATE_ADDRESSES="true")
    stop = elsewhere.start_triggering(0.6)
    victims = [victim for victim, times in VICTIMS.items() for _ in range(times)]
    random.shuffle(victims)

    with lateness:
        for victim in victims:
            elsewhere.wait_for_progress(RECOVERY)
            time.sleep(random.uniform(0.0, 0.6))
            match victim:
                case "worker":
                    cluster.wait_until_running(2, RECOVERY)
                    cluster.kill(random.choice(soon(lambda: cluster.having("worker"), "a worker")))
                case "whole tree":
                    cluster.kill_tree()
                case "web process":
                    elsewhere.web.kill()
                case "endpoint":
                    elsewhere.endpoint.kill()
        elsewhere.wait_for_progress(RECOVERY)
        wait_until(lambda: len(elsewhere.accepted) > 8, RECOVERY, "some more runs")
        stop()
        scene.wait_until_all_ended(RECOVERY + LATE)

    elsewhere.check()
    assert lateness.worst < RECOVERY
