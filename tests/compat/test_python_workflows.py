"""Workflows of upstash-workflow, the Python package, served by FastAPI and by Flask."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
import requests

from tests.compat.features import WORKFLOW_PY, feature
from tests.compat.programs import Endpoint
from tests.compat.world import RunLog, World, eventually, unique

frameworks = pytest.mark.parametrize("framework", ["fastapi", "flask"])


def endpoint_of(world: World, framework: str) -> Endpoint:
    return world.fastapi if framework == "fastapi" else world.flask


def publish(world: World, endpoint: Endpoint, path: str, body: Any, **options: Any) -> str:
    """Start a run by a plain message of the Python client, as its endpoints expect; its id."""
    url = f"{endpoint.url}/{path}?as={unique('run')}"
    world.py("message.publish_json", url=url, body=body, **options)

    def runs() -> list[dict[str, Any]]:
        found = world.workflow("logs", {"filter": {"workflowUrl": url}})
        return cast("list[dict[str, Any]]", found["runs"])

    return str(eventually(runs, bool)[0]["workflowRunId"])


def noted(world: World, endpoint: Endpoint, run_id: str) -> Any:
    run = world.end_of(run_id)
    assert run.state == "RUN_SUCCESS", run.data
    return world.seen(run_id, endpoint).notes[-1]


@feature(WORKFLOW_PY, "context.run, context.headers, context.request_payload")
@frameworks
def test_the_results_of_steps_come_back_as_they_were(world: World, framework: str) -> None:
    endpoint, said = endpoint_of(world, framework), {"ü": "😀"}

    run_id = publish(world, endpoint, "steps", said, headers={"X-User": "somebody"})

    assert noted(world, endpoint, run_id) == {
        "results": [said, {"ü": ["😀", None, 1.5]}, None, 'plain "\\ ü'],
        "user": "somebody",
    }
    assert world.hits(run_id, endpoint) == 5


@feature(WORKFLOW_PY, "a run triggered by @upstash/workflow")
@frameworks
def test_the_javascript_client_triggers_a_run(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)
    run_id = world.trigger("", {"n": 1}, url=f"{endpoint.url}/steps", headers={"X-User": "js"})

    told = noted(world, endpoint, run_id)

    assert (told["results"][0], told["user"]) == ({"n": 1}, "js")


@feature(WORKFLOW_PY, "a run triggered by POST /v2/trigger")
@frameworks
def test_a_plain_request_triggers_a_run(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)
    answer = world.http("POST", f"/v2/trigger/{endpoint.url}/steps", data=b'{"n": 2}')

    assert noted(world, endpoint, answer.json()["workflowRunId"])["results"][0] == {"n": 2}


@feature(WORKFLOW_PY, "context.sleep and context.sleep_until")
@frameworks
def test_sleeps_take_as_long_as_they_say(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)

    times = noted(world, endpoint, publish(world, endpoint, "sleeps", None))

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(pause >= 0.98 for pause in pauses)


@feature(WORKFLOW_PY, "context.call: answers, errors, retries")
@frameworks
def test_a_call_returns_the_answer_of_a_third_party(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)

    told = noted(world, endpoint, publish(world, endpoint, "calls", {}))

    assert told == {
        "posted": [200, '{"\\u00fc": "\\ud83d\\ude00"}', "yes"],
        "missing": [404, "404 Not Found"],
        "retried": [200, "up again"],
    }


def failed(world: World, run_id: str, state: str) -> RunLog:
    run = world.wait_for(
        run_id, lambda log: log.data.get("failureFunction", {}).get("state") == state
    )
    assert run.state == "RUN_FAILED"
    return run


@feature(WORKFLOW_PY, "retries and failure_function")
@frameworks
def test_a_failure_function_learns_of_the_failure(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)
    healing = publish(world, endpoint, "fails", {"times": 1})
    failing = publish(world, endpoint, "fails", {"times": 9})

    assert noted(world, endpoint, healing) == "healed"
    run = failed(world, failing, "CALLBACK_SUCCESS")
    assert [error["status"] for error in run.steps[-1]["errors"]] == [500, 500]
    assert world.seen(failing, endpoint).notes == [
        {"status": 500, "response": "broken", "payload": {"times": 9}}
    ]


@feature(WORKFLOW_PY, "failure_url")
@frameworks
def test_a_failure_url_is_told_of_the_failure(world: World, framework: str) -> None:
    run_id = publish(world, endpoint_of(world, framework), "failure-url", {"n": 1})

    failed(world, run_id, "CALLBACK_SUCCESS")

    told = [each.json for each in world.third.received(f"/sink/{framework}-failures")]
    (mine,) = [each for each in told if each["workflowRunId"] == run_id]
    assert mine["status"] == 500


@feature(WORKFLOW_PY, "client.dlq.resume by @upstash/workflow of a Python run")
@frameworks
def test_a_failed_run_is_resumed(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)
    failing = publish(world, endpoint, "fails", {"times": 2})
    dlq_id = failed(world, failing, "CALLBACK_SUCCESS").data["dlqId"]

    answer = world.workflow("dlq.resume", dlq_id, {"retries": 2})

    resumed = answer["workflowRuns"][0]["workflowRunId"]
    assert noted(world, endpoint, resumed) == "healed"


@feature(WORKFLOW_PY, "initial_payload_parser")
@frameworks
def test_an_endpoint_parses_the_payload_its_own_way(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)
    run_id = world.trigger("", "a,b,ü", url=f"{endpoint.url}/parses")

    assert noted(world, endpoint, run_id) == ["a", "b", "ü"]


@feature(WORKFLOW_PY, "authorization by an early return")
@frameworks
def test_an_early_return_refuses_the_run(world: World, framework: str) -> None:
    endpoint = endpoint_of(world, framework)
    url = f"{endpoint.url}/authorizes"

    allowed = world.trigger("", {}, url=url, headers={"Authorization": "Bearer letmein"})
    refused = world.run("", {}, url=url, retries=0)

    assert noted(world, endpoint, allowed) == "in"
    assert refused.state == "RUN_FAILED"
    assert refused.steps[-1]["errors"][0]["status"] == 400


@feature(WORKFLOW_PY, "signatures are verified")
@frameworks
def test_an_endpoint_refuses_what_the_server_did_not_sign(world: World, framework: str) -> None:
    url = f"{endpoint_of(world, framework).url}/steps"

    assert requests.post(url, json={"forged": True}, timeout=30).status_code == 500
