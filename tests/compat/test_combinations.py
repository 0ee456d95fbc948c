"""Steps of @upstash/workflow in combination: in parallel, retried, large, under changing code."""

from __future__ import annotations

import time

import pytest

from tests.compat.features import WORKFLOW_JS, feature
from tests.compat.programs import Endpoint
from tests.compat.world import PATIENCE, RunLog, World, eventually, unique

KB = 1000
MB = 1000 * KB


@feature(WORKFLOW_JS, "Promise.all of steps")
def test_steps_at_once_are_joined(world: World) -> None:
    run = world.run("parallel")

    assert run.result == ["a", "b", "nothing"]
    assert [kind for kind, _ in run.groups] == ["sequential", "parallel", "sequential"]
    assert [step["stepName"] for step in run.groups[1][1]] == ["a", "b", "c"]
    # The start, a plan and a result of each, and the last step.
    assert world.hits(run.id) == 1 + 2 * 3 + 1


@feature(WORKFLOW_JS, "Promise.all of sleeps, calls, invocations, waits and steps")
def test_steps_of_every_kind_at_once_are_joined(world: World) -> None:
    run_id = world.trigger("parallelOfAll")
    world.notify(f"event-{run_id}", {"ü": "😀"})

    result = world.end_of(run_id).result

    assert result.pop("took") >= 1000
    assert result == {
        "call": [200, "up again"],
        "child": {"n": 3},
        "failed": True,
        "event": {"eventData": {"ü": "😀"}, "timeout": False},
        "late": True,
        "ran": "ran",
        "again": [1, 201],
    }


@feature(WORKFLOW_JS, "Promise.all of branches with steps of their own")
def test_branches_go_on_by_themselves(world: World) -> None:
    assert world.run("chained").result == [3, 3]


@feature(WORKFLOW_JS, "Promise.all runs its branches at the same time")
def test_branches_run_at_the_same_time(world: World) -> None:
    spans = world.run("slow", {"ms": 1500}).result

    assert max(start for start, _ in spans) < min(end for _, end in spans)


@feature(WORKFLOW_JS, "waitForEvent resolved while another branch is retried")
def test_an_event_comes_while_another_branch_is_retried(world: World) -> None:
    run_id = world.trigger("waitsWhileRetrying", retries=3, retryDelay="700")
    world.wait_for(run_id, lambda log: "STEP_RETRY" in {step["state"] for step in log.steps})

    world.notify(f"event-{run_id}", "in between")

    assert world.end_of(run_id).result == {"event": "in between", "tries": 3}


def success_of(world: World, run_id: str) -> RunLog:
    """Without fetching the long log of a run that has not ended."""
    wanted = {"filter": {"workflowRunId": run_id, "state": "RUN_SUCCESS"}}
    (run,) = eventually(lambda: world.workflow("logs", wanted)["runs"], bool, run_id, 3 * PATIENCE)
    return RunLog(run)


@feature(WORKFLOW_JS, "payloads, results, calls and answers of 300 kB and of 5 MB")
@pytest.mark.parametrize("size", [300 * KB, 5 * MB])
def test_large_values_pass_unharmed(world: World, size: int) -> None:
    text = "ä€" * (size // 5)
    run_id = world.trigger("large", {"size": size, "padding": text})

    run = success_of(world, run_id)

    assert run.result == {"same": True, "posted": 200, "got": size, "text": text}
    (posted,) = world.third.received(f"/sink/{run.id}")
    assert posted.text == text


@feature(WORKFLOW_JS, "Promise.all of steps and calls with results of 300 kB")
def test_large_values_at_once_pass_unharmed(world: World) -> None:
    assert world.run("largeInParallel", 300 * KB).result == [True, True, 300 * KB]


@feature(WORKFLOW_JS, "errors of 5 MB")
def test_a_failure_function_gets_a_very_large_error(world: World) -> None:
    run = world.run("largeError", {"size": 5 * MB})

    assert run.state == "RUN_FAILED"
    done = world.wait_for(run.id, lambda log: _callback(log.data) == "CALLBACK_SUCCESS")
    assert done.data["failureFunction"]["failStatus"] == 489
    assert world.seen(run.id).notes == [5 * MB]


def _callback(run: dict[str, dict[str, str]]) -> str | None:
    return run.get("failureFunction", {}).get("state")


@feature(WORKFLOW_JS, "large event data")
def test_a_run_gets_large_event_data(world: World) -> None:
    event, data = unique("event"), "ä€" * (60 * KB)
    run_id = world.trigger("waits", {"eventId": event})

    world.notify(event, data)

    assert world.end_of(run_id).result["eventData"] == data


class Deployments:
    """A service that is replaced by another version at the same address."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._port = "0"
        self._running: Endpoint | None = None

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()

    def deploy(self, version: str) -> Endpoint:
        self.stop()
        self._running = self._world.node_endpoint(
            self._world.js_project, "versions.mjs", VERSION=version, PORT=self._port
        )
        self._port = str(self._running.port)
        return self._running


@feature(WORKFLOW_JS, "new code under a run: steps added after what was done")
def test_a_run_goes_on_in_new_code(world: World) -> None:
    service = Deployments(world)
    event = unique("deploy")
    run_id = world.trigger("", {"event": event}, url=f"{service.deploy('one').url}/order")
    world.wait_until_waiting(run_id, "approval")

    service.deploy("two")
    world.notify(event)

    assert world.end_of(run_id).result == ["priced by one", "sent by two", "thanked by two"]


@feature(WORKFLOW_JS, "new code under a run: steps changed before what was done")
def test_a_run_fails_in_code_that_is_not_its_own(world: World) -> None:
    service = Deployments(world)
    event = unique("deploy")
    url = f"{service.deploy('one').url}/order"
    run_id = world.trigger("", {"event": event}, url=url, retries=1)
    world.wait_until_waiting(run_id, "approval")

    service.deploy("other")
    world.notify(event)

    run = world.end_of(run_id)
    assert run.state == "RUN_FAILED"
    assert "Incompatible step" in run.steps[-1]["errors"][0]["body"]
    # Deployed once more, the run can be resumed where it stood.
    service.deploy("two")
    resumed = world.workflow("dlq.resume", run.data["dlqId"])["workflowRuns"][0]["workflowRunId"]
    assert world.end_of(resumed).result == ["priced by one", "sent by two", "thanked by two"]


@feature(WORKFLOW_JS, "an endpoint that is down for a while")
def test_a_run_survives_that_its_endpoint_is_down(world: World) -> None:
    service = Deployments(world)
    event = unique("deploy")
    url = f"{service.deploy('one').url}/order"
    run_id = world.trigger("", {"event": event}, url=url, retries=200, retryDelay="300")
    world.wait_until_waiting(run_id, "approval")

    service.stop()
    world.notify(event)
    world.wait_for(run_id, lambda log: "STEP_RETRY" in {step["state"] for step in log.steps})
    time.sleep(0.5)
    service.deploy("two")

    assert world.end_of(run_id).result == ["priced by one", "sent by two", "thanked by two"]
