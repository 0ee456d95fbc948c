"""Many processes on one database at once."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Scene

pytestmark = pytest.mark.processes


def test_many_workers_and_many_triggers_at_once_get_in_nobody_s_way(scene: Scene) -> None:
    scene.cluster(4)
    webs = [scene.web(30, 0.0, "faults-mixed", "faults-async", "faults-short") for _ in range(4)]

    accepted = [run_id for web in webs for run_id in web.wait(60)]

    scene.wait_until_all_ended(30)
    scene.check(accepted)
    assert len(accepted) == 4 * 30
    assert max(each.recorded_before for each in scene.executions()) is False
    assert "Traceback" not in scene.logs()
    assert "ERROR" not in scene.logs()
