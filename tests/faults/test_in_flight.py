"""What workers say of the steps that they are at."""

from __future__ import annotations

import pytest

from tests.faults.conftest import LEASE, RESTART, Scene
from tests.faults.processes import wait_until

pytestmark = pytest.mark.processes


def test_workers_name_the_steps_that_last_and_no_others(scene: Scene) -> None:
    accepted = scene.trigger(3, "faults-hold")
    scene.cluster()

    wait_until(
        lambda: scene.count("workflows_app_message", "at_step = 'hold'") == 3,
        LEASE + RESTART,
        "three steps in flight",
    )
    assert scene.count("workflows_app_message", "at_step NOT IN ('', 'hold')") == 0
    scene.gate.touch()

    scene.wait_until_all_ended(LEASE + RESTART)
    scene.check(accepted)
