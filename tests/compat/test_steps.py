"""Steps of @upstash/workflow, one kind at a time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.compat.features import WORKFLOW_JS, feature
from tests.compat.world import World, eventually, unique


@feature(WORKFLOW_JS, "context.run: results of every JSON kind, and none")
def test_the_results_of_steps_come_back_as_they_were(world: World) -> None:
    run = world.run("results")

    assert run.result == {
        "text": "plain",
        "unicode": 'żółć 雪 😀 \u2028 " \\ \n',
        "number": 1.5,
        "zero": 0,
        "no": False,
        "nothing": None,
        "empty": "",
        "numeral": "42",
        "nested": {"a": [1, {"b": []}], "": {}},
        "isMissing": True,
    }
    assert run.step("ünï→😀")["state"] == "STEP_SUCCESS"
    assert world.hits(run.id) == 11


@feature(WORKFLOW_JS, "context.run: a step that throws is tried again")
def test_a_step_that_throws_is_tried_again(world: World) -> None:
    run = world.run("retried", {"times": 2}, retries=2)

    assert run.result == 2
    assert world.hits(run.id) == 5


@feature(WORKFLOW_JS, "context.sleep and context.sleepUntil")
def test_sleeps_take_as_long_as_they_say(world: World) -> None:
    times = world.run("sleeps").result

    pauses = [later - earlier for earlier, later in pairwise(times)]
    # Whole seconds are what the SDK sends of a date.
    assert all(
        pause >= least for pause, least in zip(pauses, [990, 990, 190, 190, 190], strict=False)
    )


@feature(WORKFLOW_JS, "context.sleep: for days, shown in the logs")
def test_a_sleeping_run_is_shown_as_such(world: World) -> None:
    run_id = world.trigger("longSleep", "2d")

    run = world.wait_until_waiting(run_id, "long")

    assert run.state == "RUN_STARTED"
    assert run.groups[-1][0] == "sequential"
    assert run.step("long")["sleepFor"] == 2 * 24 * 3600 * 1000
    world.workflow("cancel", run_id)


@feature(WORKFLOW_JS, "context.call: methods, headers and bodies")
def test_a_call_sends_what_it_was_told_and_returns_the_answer(world: World) -> None:
    run = world.run("calls")

    for method, answer in run.result.items():
        body = answer["body"]
        assert answer["status"] == 200
        assert answer["header"]["Content-Type"] == ["application/json"]
        assert body["method"] == method
        assert body["query"] == {"method": [method], "ü": ["1"]}
        assert body["headers"]["x-own"] == method
        assert body["headers"]["authorization"] == "Bearer theirs"
        assert "upstash-signature" in body["headers"]
        sent = "" if method == "GET" else f'{{"to":"{method}","ü":"😀"}}'
        assert body["body"] == sent
    # A start, and a callback and a result for each call.
    assert world.hits(run.id) == 11


@feature(WORKFLOW_JS, "context.call: errors, redirects, binary and empty answers, timeouts")
def test_whatever_a_third_party_answers_is_a_result(world: World) -> None:
    answers = world.run("oddCalls").result

    assert (answers["missing"]["status"], answers["missing"]["body"]) == (404, "404 Not Found")
    assert answers["redirect"]["status"] == 300
    assert answers["broken"]["status"] == 500
    assert answers["empty"]["body"] == ""
    assert answers["empty"]["header"]["X-Twice"] == ["one", "two"]
    assert [ord(letter) for letter in answers["binary"]["body"]] == list(range(256))
    assert answers["form"]["body"]["body"] == "a=1&b=2"
    form = answers["form"]["body"]["headers"]["content-type"]
    assert form == "application/x-www-form-urlencoded"
    assert answers["nobody"]["body"]["body"] == ""
    assert answers["slow"]["status"] >= 500
    assert answers["unreachable"] >= 500


@feature(WORKFLOW_JS, "context.call: retries, retryDelay, flowControl")
def test_a_call_is_retried_and_only_its_last_answer_counts(world: World) -> None:
    run = world.run("retriedCalls")

    error = "500 Internal Server Error"
    assert run.result == [200, "up again", 500, error, 200]
    assert len(world.third.received(f"/flaky/{run.id}-a/2")) == 3
    assert len(world.third.received(f"/flaky/{run.id}-b/5")) == 2
    assert world.hits(run.id) == 7


@feature(WORKFLOW_JS, "context.call: of another workflow")
def test_a_call_can_start_another_workflow(world: World) -> None:
    answer = world.run("callsWorkflow").result

    assert answer["status"] == 200
    assert world.end_of(answer["started"]).result == {"from": "the caller"}


@feature(WORKFLOW_JS, "context.waitForEvent: event data of every kind")
@pytest.mark.parametrize("data", ["text", {"a": [1, "ü😀"]}, 7, None, ""])
def test_a_waiting_run_gets_the_event(world: World, data: object) -> None:
    event = unique("event ü")
    run_id = world.trigger("waits", {"eventId": event, "timeout": "30s"})

    answers = world.notify(event, data)

    assert [answer["workflowRunId"] for answer in answers] == [run_id]
    assert answers[0]["waiter"]["url"] == world.url("waits")
    result = world.end_of(run_id).result
    assert result["timeout"] is False
    assert result.get("eventData") == (data if data != "" else None)


@feature(WORKFLOW_JS, "context.waitForEvent: timeout")
def test_a_run_that_nobody_notifies_goes_on_after_its_timeout(world: World) -> None:
    run = world.run("waits", {"eventId": unique("event"), "timeout": 1})

    assert run.result == {"timeout": True}
    assert run.step("wait")["waitTimeout"] is True
    assert world.hits(run.id) == 2


@feature(WORKFLOW_JS, "context.notify: every waiting run, and none")
def test_a_run_notifies_all_that_wait(world: World) -> None:
    event = unique("event")
    waiting = [world.trigger("waits", {"eventId": event}) for _ in range(3)]
    world.waiters(event, lambda found: len(found) == len(waiting))

    run = world.run("notifies", {"eventId": event, "eventData": {"from": "a run"}})

    answers = run.result["notifyResponse"]
    assert {answer["workflowRunId"] for answer in answers} == set(waiting)
    for run_id in waiting:
        assert world.end_of(run_id).result == {"timeout": False, "eventData": {"from": "a run"}}
    nobody = world.run("notifies", {"eventId": event, "eventData": "again"})
    assert nobody.result["notifyResponse"] == []


@feature(WORKFLOW_JS, "context.notify: with a run id, ahead of the wait")
def test_an_event_for_a_run_may_come_before_it_waits(world: World) -> None:
    run = world.run("notifiesItself")

    assert run.result == {"eventData": {"ahead": True}, "timeout": False, "told": 1}


@feature(WORKFLOW_JS, "context.createWebhook and context.waitForWebhook")
def test_each_wait_takes_one_call_of_a_webhook(world: World) -> None:
    run_id = world.trigger("webhooks")
    world.wait_until_waiting(run_id, "third")
    (webhook,) = world.seen(run_id).notes

    # The URL alone is enough: whoever calls it has no token.
    assert world.http(
        "GET", webhook["webhookUrl"].removeprefix(world.server.url), headers={"Authorization": ""}
    ).ok

    result = world.end_of(run_id).result
    assert webhook["webhookUrl"].startswith(f"{world.server.url}/v2/workflows/hooks/")
    assert result["calls"] == [
        {
            "timeout": False,
            "method": "POST",
            "url": "?n=1",
            "from": "a stranger",
            "body": '{"n":1,"ü":"😀"}',
        },
        {"timeout": False, "method": "PUT", "url": "exact", "from": None, "body": "second"},
        {"timeout": False, "method": "GET", "url": "exact", "from": None, "body": ""},
    ]
    assert result["last"] == {"timeout": True, "request": True}


@feature(WORKFLOW_JS, "context.invoke: result, failure, cancellation; label, headers, run id")
def test_a_run_gets_what_the_runs_that_it_invokes_end_with(world: World) -> None:
    run = world.run("invokes")

    result, chosen = run.result, f"wfr_chosen-{run.id}"
    assert result["plain"] == {
        "body": {
            "rest": {"n": 1, "ü": "😀"},
            "label": "a-child",
            "header": "yes",
            "runId": chosen,
        },
        "isFailed": False,
        "isCanceled": False,
    }
    assert (result["failed"]["isFailed"], result["failed"]["isCanceled"]) == (True, False)
    assert (result["canceled"]["isFailed"], result["canceled"]["isCanceled"]) == (False, True)
    assert result["limited"]["body"]["rest"] == {"n": 2}
    child = world.log(chosen)
    assert child is not None
    assert child.data["invoker"]["workflowRunId"] == run.id
    assert run.step("plain")["invokedWorkflowRunId"] == chosen


@feature(WORKFLOW_JS, "context.invoke: nested")
def test_runs_invoke_runs_that_invoke_runs(world: World) -> None:
    deepest = world.run("nested").result

    assert world.seen(deepest).hits[0]["headers"]["upstash-workflow-invoke-count"] == "3"


@feature(WORKFLOW_JS, "context.cancel")
def test_a_run_cancels_itself(world: World) -> None:
    run = world.run("cancels")

    assert run.state == "RUN_CANCELED"
    assert world.seen(run.id).notes == []


@feature(WORKFLOW_JS, "context.api.openai.call")
def test_a_run_asks_a_language_model(world: World) -> None:
    assert world.run("asksModel").result == [200, "say it: nothing to add"]


@feature(WORKFLOW_JS, "context properties")
def test_a_run_knows_its_surroundings(world: World) -> None:
    run = world.run(
        "properties",
        {"ü": "😀"},
        headers={"X-User": "somebody"},
        label=["one", "two"],
        workflowRunId=unique("known"),
    )

    assert run.result == {
        "header": "somebody",
        "payload": {"ü": "😀"},
        "env": True,
        "url": world.url("properties"),
        "runId": run.id,
        "createdAt": run.data["workflowRunCreatedAt"],
        "label": "one",
        "labels": ["one", "two"],
        "retried": 0,
        "client": "function",
    }


@feature(WORKFLOW_JS, "context.qstashClient")
def test_a_step_publishes_by_the_client_of_its_context(world: World) -> None:
    run = world.run("publishesByItself")

    assert run.result.startswith("msg_")
    (message,) = eventually(lambda: world.third.received(f"/sink/{run.id}"), bool)
    assert message.json == {"by": "hand"}
