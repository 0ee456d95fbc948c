"""Ways to serve a workflow by @upstash/workflow, and ways in which its runs begin."""

from __future__ import annotations

import json
from typing import cast

import pytest
import requests

from tests.compat.features import WORKFLOW_JS, feature
from tests.compat.programs import SdkError
from tests.compat.server import Tenant
from tests.compat.world import World, eventually, unique


@feature(WORKFLOW_JS, "serve: Express")
def test_express_serves_a_workflow(world: World) -> None:
    run = world.run("", "ünï", url=f"{world.express.url}/single")

    assert run.result == {"said": "hello ünï"}


@feature(WORKFLOW_JS, "serve and serveMany: Hono")
@pytest.mark.parametrize("path", ["/single", "/many/single"])
def test_hono_serves_a_workflow(world: World, path: str) -> None:
    assert world.run("", "ünï", url=f"{world.hono}{path}").result == {"said": "hello ünï"}


@feature(WORKFLOW_JS, "multi-region environment")
def test_an_endpoint_of_several_regions_serves_a_workflow(world: World) -> None:
    run = world.run("", "you", url=f"{world.express.url}/region")

    assert run.result == {"said": "hello you"}


@feature(WORKFLOW_JS, "signatures are verified")
def test_an_endpoint_refuses_what_the_server_did_not_sign(world: World) -> None:
    url = world.url("echo")

    refused = requests.post(url, json={"forged": True}, timeout=30)

    assert refused.status_code == 500
    assert "signature" in refused.text.lower()


@feature(WORKFLOW_JS, "serve options: initialPayloadParser")
def test_an_endpoint_parses_the_payload_its_own_way(world: World) -> None:
    assert world.run("parses", "a,b,ü").result == {"parsed": ["a", "b", "ü"]}


@feature(WORKFLOW_JS, "serve options: schema")
def test_an_endpoint_validates_the_payload(world: World) -> None:
    assert world.run("validates", {"n": 1}).result == {"n": 1}
    refused = world.run("validates", {"n": "one"}, retries=0)
    assert refused.state == "RUN_FAILED"
    assert refused.steps[-1]["errors"][0]["status"] == 500


@feature(WORKFLOW_JS, "serve options: middlewares, verbose, disableTelemetry")
def test_middlewares_see_each_moment_of_a_run_once(world: World) -> None:
    run = world.run("traced")

    assert run.result == 1
    notes = world.seen(run.id).notes
    assert notes[0] == "runStarted"
    assert notes[-1] == "runCompleted 1"
    assert sorted(notes) == sorted(
        [
            "runStarted",
            *(f"{when} {step}" for when in ("before", "after") for step in ("one", "two", "rest")),
            "runCompleted 1",
        ]
    )


@feature(WORKFLOW_JS, "QSTASH_DEV: the development server on its usual credentials")
def test_the_development_mode_of_the_sdk_finds_this_server(world: World) -> None:
    port = world.server.url.rpartition(":")[2]
    driver = world.driver(
        ["node", "driver.mjs"], world.js_project, QSTASH_DEV="true", QSTASH_DEV_PORT=port
    )
    nobody = Tenant(name="", account_id="", token="", current_key="", next_key="")

    answer = driver.call("", nobody, "workflow", "trigger", args=[{"url": world.url("echo")}])

    assert world.end_of(answer["workflowRunId"]).state == "RUN_SUCCESS"


@feature(WORKFLOW_JS, "a plain message to an endpoint starts a run")
def test_a_published_message_starts_a_run(world: World) -> None:
    url, said = f"{world.url('echo')}?as={unique('plain')}", {"ü": 1}
    world.qstash("publishJSON", {"url": url, "body": said, "headers": {"X-User": "me"}})

    def runs() -> list[dict[str, object]]:
        criterion = {"filter": {"workflowUrl": url}}
        return cast("list[dict[str, object]]", world.workflow("logs", criterion)["runs"])

    (run,) = eventually(runs, bool)
    assert world.end_of(str(run["workflowRunId"])).result == said


@feature(WORKFLOW_JS, "POST /v2/trigger")
def test_a_plain_request_triggers_a_run(world: World) -> None:
    answer = world.http(
        "POST",
        f"/v2/trigger/{world.url('properties')}",
        data='{"ü":1}'.encode(),
        headers={
            "Upstash-Forward-X-User": "somebody",
            "Upstash-Label": "by-hand",
            "Upstash-Workflow-RunId": (given := unique("by-hand")),
            "Content-Type": "application/json",
        },
    ).json()

    assert answer["workflowRunId"] == given
    result = world.end_of(given).result
    assert (result["header"], result["payload"], result["label"]) == (
        "somebody",
        {"ü": 1},
        "by-hand",
    )
    assert world.hits(given) == 2


@feature(WORKFLOW_JS, "POST /v2/trigger by an unknown SDK")
def test_the_endpoint_triggers_again_what_an_unknown_sdk_triggered(world: World) -> None:
    given = unique("wfr_unknown")
    world.http(
        "POST",
        f"/v2/trigger/{world.url('echo')}",
        data=b'{"n":1}',
        headers={"Upstash-Workflow-Unknown-Sdk": "true", "Upstash-Workflow-RunId": given},
    )

    assert world.end_of(given).result == {"n": 1}
    assert world.hits(given) == 4


@feature(WORKFLOW_JS, "client.trigger with the header of an unknown SDK")
def test_a_triggered_run_may_be_triggered_again_by_its_endpoint(world: World) -> None:
    run = world.run("echo", {"n": 1}, headers={"Upstash-Workflow-Unknown-Sdk": "true"})

    assert run.result == {"n": 1}
    assert world.hits(run.id) == 4


@feature(WORKFLOW_JS, "POST /v2/batch/trigger")
def test_a_plain_request_triggers_many_runs(world: World) -> None:
    items = [
        {"destination": world.url("echo"), "headers": {}, "body": json.dumps({"n": n})}
        for n in range(3)
    ]

    answer = world.http("POST", "/v2/batch/trigger", json=items)

    assert answer.status_code == 201
    results = [world.end_of(run["workflowRunId"]).result for run in answer.json()]
    assert results == [{"n": 0}, {"n": 1}, {"n": 2}]


@feature(WORKFLOW_JS, "refusals: unknown token, unknown account")
def test_a_client_with_a_wrong_token_learns_so(world: World) -> None:
    try:
        world.workflow("trigger", {"url": world.url("echo")}, token="nobody")
    except SdkError as error:
        assert error.status == 401
    else:
        raise AssertionError("it was let in")
