"""Errors in workflows of @upstash/workflow, what is done about them, and the dead letter queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compat.features import WORKFLOW_JS, feature
from tests.compat.world import RunLog, World, eventually, unique


def failed(world: World, workflow: str = "fails", body: Any = None, **options: Any) -> RunLog:
    run = world.run(workflow, body, **options)
    assert run.state == "RUN_FAILED", run.data
    return run


def callback_ended(world: World, run_id: str, state: str) -> RunLog:
    return world.wait_for(
        run_id, lambda log: log.data.get("failureFunction", {}).get("state") == state
    )


@feature(WORKFLOW_JS, "failureFunction")
def test_a_failure_function_learns_of_the_failure(world: World) -> None:
    run = failed(
        world,
        body={"kind": "error", "ü": "😀"},
        retries=1,
        headers={"X-User": "somebody"},
        label="broken",
    )

    done = callback_ended(world, run.id, "CALLBACK_SUCCESS")
    (told,) = world.seen(run.id).notes
    assert told.pop("failStack") == "TypeError: broken"
    assert "Upstash-Workflow-Sdk-Version" in told.pop("failHeaders")
    assert told == {
        "failStatus": 500,
        "failResponse": "broken",
        "payload": {"kind": "error", "ü": "😀"},
        "header": "somebody",
        "label": "broken",
        "url": world.url("fails"),
    }
    failure = done.data["failureFunction"]
    assert failure["failStatus"] == 500
    assert json.loads(failure["failResponse"])["message"] == "broken"
    assert failure["responseStatus"] == 200
    assert json.loads(failure["responseBody"])["result"] == "taken care of"
    # The start, the first step's result, its retry, and the failure function.
    assert world.hits(run.id) == 4


@feature(WORKFLOW_JS, "logs of a failed run")
def test_the_logs_show_which_step_failed_and_how(world: World) -> None:
    run = failed(world, body={"kind": "error"}, retries=2, retryDelay="100 * (1 + retried)")

    kind, (step,) = run.groups[-1]
    assert kind == "next"
    assert (step["state"], step["stepName"]) == ("STEP_FAILED", "breaks")
    assert (step["retries"], step["retryDelay"]) == (2, "100 * (1 + retried)")
    assert [error["status"] for error in step["errors"]] == [500, 500, 500]
    assert step["errors"][0]["error"] == "500 Internal Server Error"
    assert json.loads(step["errors"][0]["body"])["message"] == "broken"


@feature(WORKFLOW_JS, "failureUrl")
def test_a_failure_url_is_told_of_the_failure(world: World) -> None:
    sink = unique("/sink/failures")
    run = failed(
        world,
        "failsWithoutFunction",
        {"ü": "😀"},
        retries=0,
        failureUrl=f"{world.third.url}{sink}",
        headers={"X-User": "somebody"},
    )

    (told,) = eventually(lambda: world.third.received(sink), bool)
    assert told.headers["x-user"] == "somebody"
    assert "upstash-signature" in told.headers
    assert told.json["workflowRunId"] == run.id
    assert told.json["status"] == 500
    assert told.json["dlqId"] == run.data["dlqId"]
    callback_ended(world, run.id, "CALLBACK_SUCCESS")


@feature(WORKFLOW_JS, "a workflow without a failure function")
def test_a_missing_failure_function_is_no_failure(world: World) -> None:
    run = failed(world, "failsWithoutFunction", retries=0)

    eventually(lambda: world.hits(run.id), lambda hits: hits == 2, "the failure callback")
    after = world.wait_for(run.id, lambda log: "failureFunction" not in log.data)
    assert after.state == "RUN_FAILED"


@feature(WORKFLOW_JS, "WorkflowNonRetryableError")
def test_a_final_error_is_not_retried(world: World) -> None:
    run = failed(world, body={"kind": "final"}, retries=5)

    assert [error["status"] for error in run.steps[-1]["errors"]] == [489]
    callback_ended(world, run.id, "CALLBACK_SUCCESS")
    (told,) = world.seen(run.id).notes
    assert (told["failStatus"], told["failResponse"]) == (489, "never again")
    assert world.hits(run.id) == 3


@feature(WORKFLOW_JS, "WorkflowRetryAfterError")
@pytest.mark.parametrize("after", [1, "1s"])
def test_an_error_says_when_to_try_again(world: World, after: object) -> None:
    run = world.run("fails", {"kind": "later", "after": after, "heals": 1}, retries=1)

    assert run.result == "healed"
    first, second = (hit["at"] for hit in world.seen(run.id).hits[1:3])
    assert second - first >= 990


@feature(WORKFLOW_JS, "authorization by an early return")
def test_an_early_return_refuses_the_run(world: World) -> None:
    allowed = world.run("authorizes", headers={"Authorization": "Bearer letmein"})
    assert allowed.result == ["in", 200]

    refused = failed(world, "authorizes", retries=0)

    assert refused.steps[-1]["errors"][0]["status"] == 400
    # The failure callback is refused likewise.
    callback_ended(world, refused.id, "CALLBACK_FAIL")
    assert world.seen(refused.id).notes == []


@feature(WORKFLOW_JS, "a call that the server refuses fails the run at once")
@pytest.mark.parametrize(
    "settings",
    [{"retries": 1_000_000}, {"url": "ftp://127.0.0.1/x"}, {"retryDelay": "1 +"}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_call_that_is_refused_fails_the_run(world: World, settings: dict[str, Any]) -> None:
    run = failed(world, "asksTooMuch", settings, retries=5)

    assert [error["status"] for error in run.steps[-1]["errors"]] == [489]
    callback_ended(world, run.id, "CALLBACK_SUCCESS")
    assert world.seen(run.id).notes[0]["failStatus"] == 489


@feature(WORKFLOW_JS, "a trigger of something that serves no workflow")
def test_a_run_of_no_workflow_fails_at_once(world: World) -> None:
    run = failed(world, "", url=f"{world.third.url}/status/200", retries=5)

    assert len(run.groups) == 2
    (error,) = run.steps[1]["errors"]
    assert error["body"] == "200 OK"
    assert error["error"] == (
        "detected a non-workflow destination for trigger/invoke. "
        "make sure you are sending the request to the correct endpoint"
    )


@feature(WORKFLOW_JS, "serveMany on Hono: a workflow that is not served")
def test_a_run_of_an_unknown_workflow_fails(world: World) -> None:
    run = failed(world, url=f"{world.hono}/many/unheardOf", retries=1)

    assert [error["status"] for error in run.steps[-1]["errors"]] == [404, 404]


@feature(WORKFLOW_JS, "client.dlq.list")
def test_a_failed_run_lies_in_the_dead_letter_queue(world: World) -> None:
    label = unique("dead")
    run = failed(world, body={"kind": "error"}, retries=0, label=label)
    callback_ended(world, run.id, "CALLBACK_SUCCESS")

    listed = world.workflow("dlq.list", {"filter": {"label": label}})

    (dead,) = listed["messages"]
    assert dead["dlqId"] == run.data["dlqId"]
    assert dead["workflowRunId"] == run.id
    assert dead["workflowUrl"] == world.url("fails")
    assert dead["responseStatus"] == 500
    assert json.loads(dead["responseBody"])["message"] == "broken"
    assert json.loads(dead["body"]) == {"kind": "error"}
    assert dead["failureCallbackInfo"]["state"] == "CALLBACK_SUCCESS"
    for criterion in (
        {"workflowRunId": run.id},
        {"responseStatus": 500, "label": label},
        {"failureFunctionState": "CALLBACK_SUCCESS", "workflowRunId": run.id},
        {"workflowUrl": world.url("fails"), "label": [label, "another"]},
        {"fromDate": run.data["workflowRunCreatedAt"] - 1000, "label": label},
    ):
        found = world.workflow("dlq.list", {"filter": criterion})["messages"]
        assert [each["dlqId"] for each in found] == [run.data["dlqId"]], criterion
    assert world.workflow("dlq.list", {"filter": {"label": unique("no")}})["messages"] == []


@feature(WORKFLOW_JS, "client.dlq.resume")
def test_a_resumed_run_goes_on_where_it_failed(world: World) -> None:
    run = failed(world, body={"kind": "error", "heals": 1, "ü": "😀"}, retries=0)

    answer = world.workflow("dlq.resume", run.data["dlqId"], {"retries": 1})

    (started,) = answer["workflowRuns"]
    # The endpoint counts by run: this one fails once as well, and then heals.
    resumed = world.end_of(started["workflowRunId"])
    assert resumed.result == "healed"
    assert resumed.step("before")["out"] == '{"heals":1,"ü":"😀"}'
    assert world.hits(resumed.id) == 3
    assert world.workflow("dlq.list", {"filter": {"workflowRunId": run.id}})["messages"] == []


@feature(WORKFLOW_JS, "client.dlq.restart")
def test_a_restarted_run_begins_anew(world: World) -> None:
    run = failed(world, body={"kind": "error", "heals": 1}, retries=0)

    answer = world.workflow("dlq.restart", [run.data["dlqId"]], {"retries": 1})

    (started,) = answer["workflowRuns"]
    restarted = world.end_of(started["workflowRunId"])
    assert restarted.result == "healed"
    assert world.hits(restarted.id) == 4


@feature(WORKFLOW_JS, "client.dlq.resume and restart: many, by filter")
@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_many_runs_are_taken_up_again_by_filter(world: World, verb: str) -> None:
    label = unique("many")
    for _ in range(3):
        failed(world, body={"kind": "error", "heals": 1}, retries=0, label=label)

    answer = world.workflow(f"dlq.{verb}", {"filter": {"label": label}}, {"retries": 1})

    runs = [world.end_of(run["workflowRunId"]) for run in answer["workflowRuns"]]
    assert [run.result for run in runs] == ["healed"] * 3
    assert {run.data["label"] for run in runs} == {label}


@feature(WORKFLOW_JS, "client.dlq.delete: one, many, by filter")
def test_dead_letters_are_deleted(world: World) -> None:
    label = unique("deleted")
    ids = [failed(world, body={"kind": "final"}, label=label).data["dlqId"] for _ in range(4)]

    assert world.workflow("dlq.delete", ids[0])["deleted"] == 1
    assert world.workflow("dlq.delete", ids[:2])["deleted"] == 1
    assert world.workflow("dlq.delete", {"filter": {"label": label}})["deleted"] == 2
    assert world.workflow("dlq.list", {"filter": {"label": label}})["messages"] == []


@feature(WORKFLOW_JS, "client.dlq.delete: everything, page by page")
def test_all_dead_letters_of_an_account_are_deleted(world: World) -> None:
    for _ in range(3):
        failed(world, body={"kind": "final"}, tenant="lists")

    everything = {"all": True, "count": 2}
    deleted = [world.workflow("dlq.delete", everything, tenant="lists")["deleted"] for _ in "ab"]

    assert deleted == [2, 1]
    assert world.workflow("dlq.list", tenant="lists")["messages"] == []


@feature(WORKFLOW_JS, "client.dlq.retryFailureFunction")
def test_a_failure_function_that_failed_is_called_again(world: World) -> None:
    run = failed(world, body={"kind": "final", "breakFailureFunction": 1}, retries=0)
    callback_ended(world, run.id, "CALLBACK_FAIL")
    listed = world.workflow("dlq.list", {"filter": {"workflowRunId": run.id}})["messages"]
    assert [each["failureCallbackInfo"]["state"] for each in listed] == ["CALLBACK_FAIL"]

    answer = world.workflow("dlq.retryFailureFunction", {"dlqId": run.data["dlqId"]})

    assert answer["workflowRunId"] == run.id
    callback_ended(world, run.id, "CALLBACK_SUCCESS")
    assert len(world.seen(run.id).notes) == 2


@feature(WORKFLOW_JS, "a step that fails in one branch while another invokes a run")
def test_a_child_that_ends_after_its_parent_failed_is_shown_there(world: World) -> None:
    run = failed(world, "failsBesideInvoke", retries=0)

    shown = world.wait_for(run.id, lambda log: log.step("invoke")["state"] == "STEP_SUCCESS")

    assert shown.step("breaks")["state"] == "STEP_FAILED"
    assert shown.groups[-1][0] == "parallel"
