"""The logs of runs whose function lives elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Endpoint
from tests.rest.remote_runs import URL, RemoteRun
from workflows_app.engine import events
from workflows_app.engine.drain import drain_here
from workflows_app.models import Run
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.exchange import SendFailed
from workflows_app.protocol.redaction import redacted
from workflows_app.protocol.runs import RunRequest

Json = dict[str, Any]

HEADERS = {"Content-Type": ["application/json"], "Upstash-Workflow-Sdk-Version": ["1"]}
CHILD = "https://app.example/child"
THIRD = "https://api.example/x"


@pytest.fixture
def run(db: None, clock: Clock, endpoint: Endpoint) -> RemoteRun:
    return RemoteRun.start(endpoint, retries=1)


def logged(api: Api, run_id: str = "run", query: str = "") -> Json:
    path = f"/v2/workflows/events?groupBy=workflowRunId&workflowRunId={run_id}&{query}"
    (log,) = api.get(path).json()["runs"]
    return dict(log)


def steps(api: Api, run_id: str = "run") -> list[Json]:
    """All but the start, without their groups."""
    groups = logged(api, run_id)["steps"][1:]
    return [step for group in groups for step in group["steps"]]


def named(api: Api, name: str) -> Json:
    (found,) = (step for step in steps(api) if step.get("stepName") == name)
    return found


def told(api: Api, run_id: str = "run") -> list[str]:
    """Each group as its type, and the names and states of its steps."""
    groups = logged(api, run_id)["steps"]
    return [
        f"{group['type']}: "
        + ", ".join(
            f"{step.get('stepName', '?')} {step['state'].removeprefix('STEP_').lower()}"
            for step in group["steps"]
        )
        for group in groups
    ]


def child_of(run: RemoteRun, number: int = 1, **step: Any) -> Run:
    return run.invoke(number, "child", RunRequest(url=CHILD, run_id="child", retries=0), **step)


def failing(run: RemoteRun, times: int = 2) -> None:
    """What is due fails so often."""
    for _ in range(times):
        run.answered(500, b"oops", Upstash_Error_Step_Name=["charge"])
        failed = run.row.attempts.latest("id")
        run.row.messages.filter(key=failed.key).update(due_at=run.row.created_at)


# -- which groups there are

INIT = "sequential: init success"
Story = Callable[[RemoteRun], Any]


def fresh(run: RemoteRun) -> None:
    pass


def after_a_step(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")


def between_steps(run: RemoteRun) -> None:
    """Its first step is published, and its delivery has not been answered yet."""
    run.publish(1, "one", out="1")
    run.publish(2, "two", out="2")


def waiting_idly(run: RemoteRun) -> None:
    """The endpoint took the delivery and published nothing."""
    run.publish(1, "one", out="1")
    drain_here()


def retrying(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")
    drain_here(limit=1)
    run.answered(500, b"oops")


def retrying_the_start(run: RemoteRun) -> None:
    run.answered(500, b"oops")


def failed(run: RemoteRun) -> None:
    after_a_step(run)
    drain_here(limit=1)
    failing(run)


def failed_at_once(run: RemoteRun) -> None:
    run.answered(489, b"no", Upstash_NonRetryable_Error=["true"])


def canceled(run: RemoteRun) -> None:
    after_a_step(run)
    run.cancel()


def canceled_asleep(run: RemoteRun) -> None:
    asleep(run)
    run.cancel()


def canceled_while_it_waits(run: RemoteRun) -> None:
    waiting_for_an_event(run)
    run.cancel()


def canceled_in_a_branch_that_waits(run: RemoteRun) -> None:
    branches(run)
    run.cancel()


def finished(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")
    run.end('{"done":true}')


def asleep(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")
    run.publish(2, "nap", "SleepFor", delay="60", sleepFor=60)


def waiting_for_an_event(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")
    run.wait(2, "approval", "approved")


def notified(run: RemoteRun) -> None:
    run.wait(1, "approval", "approved")
    events.notify(run.account, "approved", b"yes")


def calling(run: RemoteRun) -> None:
    drain_here()
    run.call(1, "ask", THIRD)


def calling_again(run: RemoteRun) -> None:
    drain_here()
    run.call(1, "ask", THIRD, retries=1)
    run.answered(503, b"busy")


def called(run: RemoteRun) -> None:
    """The endpoint has not got the answer yet."""
    drain_here()
    run.call(1, "ask", THIRD)
    run.endpoint.answers_with(200, b"hi")
    drain_here(limit=1)


def failing_to_take_an_answer(run: RemoteRun) -> None:
    called(run)
    failing(run)


def call_recorded(run: RemoteRun) -> None:
    called(run)
    run.publish(1, "ask", "Call", out='{"status":200,"body":"hi","header":{}}')


def invoking(run: RemoteRun) -> None:
    child_of(run)


def plans(run: RemoteRun) -> None:
    drain_here()
    run.plan(1, "left", "Run", of=3)
    run.plan(2, "nap", "SleepFor", of=3, delay="60", sleepFor=60)
    run.plan(3, "approval", "Wait", of=3)


def branches(run: RemoteRun) -> None:
    plans(run)
    run.wait(3, "approval", "approved", concurrent=3, targetStep=3)
    run.publish(1, "left", out="1", concurrent=3)


def a_branch_retries(run: RemoteRun) -> None:
    plans(run)
    run.answered(500, b"oops")


def a_branch_fails(run: RemoteRun) -> None:
    plans(run)
    run.publish(1, "left", out="1", concurrent=3)
    run.row.messages.exclude(key="3:plan").update(due_at=None)
    failing(run)


def joined(run: RemoteRun) -> None:
    drain_here()
    run.plan(1, "left", "Run", of=2)
    run.plan(2, "right", "Run", of=2)
    run.publish(2, "right", out="2", concurrent=2)
    run.publish(1, "left", out="1", concurrent=2)


def two_groups(run: RemoteRun) -> None:
    joined(run)
    run.plan(3, "up", "Run", of=2)
    run.plan(4, "down", "Run", of=2)


def beyond_understanding(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")
    run.publish(2, "two", "Telepathy", out="2")


def no_step_at_all(run: RemoteRun) -> None:
    run.publish(1, "one", out="1")
    run.publish_raw(b"hello")
    run.publish(2, "two", out="2")


@pytest.mark.parametrize(
    ("story", "groups"),
    [
        (fresh, ["next: ? progress"]),
        (after_a_step, ["sequential: one success", "next: ? progress"]),
        (
            between_steps,
            ["sequential: one success", "sequential: two success", "next: ? progress"],
        ),
        (waiting_idly, ["sequential: one success", "next: ? progress"]),
        (retrying, ["sequential: one success", "next: ? retry"]),
        (retrying_the_start, ["next: ? retry"]),
        (failed, ["sequential: one success", "next: charge failed"]),
        (failed_at_once, ["next: ? failed"]),
        (canceled, ["sequential: one success", "next: ? canceled"]),
        (canceled_asleep, ["sequential: one success", "sequential: nap canceled"]),
        (
            canceled_while_it_waits,
            ["sequential: one success", "sequential: approval canceled"],
        ),
        (
            canceled_in_a_branch_that_waits,
            ["parallel: left success, nap canceled, approval canceled"],
        ),
        (finished, ["sequential: one success"]),
        (asleep, ["sequential: one success", "sequential: nap progress"]),
        (waiting_for_an_event, ["sequential: one success", "sequential: approval progress"]),
        (notified, ["sequential: approval success", "next: ? progress"]),
        (calling, ["sequential: ask progress"]),
        (calling_again, ["sequential: ask retry"]),
        (called, ["sequential: ask progress"]),
        (failing_to_take_an_answer, ["sequential: ask failed"]),
        (call_recorded, ["sequential: ask success", "next: ? progress"]),
        (invoking, ["sequential: child progress"]),
        (plans, ["parallel: left progress, nap progress, approval progress"]),
        (branches, ["parallel: left success, nap progress, approval progress"]),
        (a_branch_retries, ["parallel: left retry, nap progress, approval progress"]),
        (a_branch_fails, ["parallel: left success, nap canceled, approval failed"]),
        (joined, ["parallel: left success, right success", "next: ? progress"]),
        (
            two_groups,
            ["parallel: left success, right success", "parallel: up progress, down progress"],
        ),
        (
            beyond_understanding,
            ["sequential: one success", "sequential: two success", "next: ? progress"],
        ),
        (
            no_step_at_all,
            [
                "sequential: one success",
                "sequential:  success",
                "sequential: two success",
                "next: ? progress",
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_run_shows_its_steps_in_groups(api: Api, run: RemoteRun, story: Story, groups: list[str]):
    story(run)

    assert told(api) == [INIT, *groups]


# -- what is told of each step


def test_a_fresh_run_shows_its_start_and_what_is_next(
    api: Api, db: None, clock: Clock, endpoint: Endpoint
):
    at = unix_milliseconds(clock.now)
    pk = RemoteRun.start(
        endpoint, body=b'{"a":1}', headers={"X-Tenant": "acme"}, labels=("shop", "fast"), retries=3
    ).row.pk

    start = {
        "messageId": f"msg_r{pk}",
        "state": "STEP_SUCCESS",
        "stepName": "init",
        "stepType": "Initial",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": {**HEADERS, "X-Tenant": ["acme"]},
        "out": '{"a":1}',
        "retries": 3,
    }
    upcoming = {"messageId": f"msg_r{pk}", "state": "STEP_PROGRESS", "retries": 3}
    assert logged(api) == {
        "workflowRunId": "run",
        "workflowUrl": URL,
        "workflowState": "RUN_STARTED",
        "workflowRunCreatedAt": at,
        "label": "shop",
        "labels": ["shop", "fast"],
        "steps": [
            {"type": "sequential", "steps": [start]},
            {"type": "next", "steps": [upcoming]},
        ],
    }


def test_a_result_is_shown_as_its_json(api: Api, run: RemoteRun, clock: Clock):
    message_id = run.publish(1, "one", out='{"ü":[1]}')

    assert steps(api)[0] == {
        "messageId": message_id,
        "state": "STEP_SUCCESS",
        "stepId": 1,
        "stepName": "one",
        "stepType": "Run",
        "callType": "step",
        "concurrent": 1,
        "createdAt": unix_milliseconds(clock.now),
        "headers": HEADERS,
        "retries": 1,
        "out": '{"ü":[1]}',
    }
    assert steps(api)[1]["messageId"] == message_id


def test_a_step_without_a_result_has_no_out(api: Api, run: RemoteRun):
    run.publish(1, "one")

    assert "out" not in named(api, "one")


def test_a_finished_run_shows_its_response_as_it_came(api: Api, run: RemoteRun, clock: Clock):
    run.end('{"done": true}')

    log = logged(api)
    assert (log["workflowState"], log["workflowRunResponse"], log["workflowRunCompletedAt"]) == (
        "RUN_SUCCESS",
        '{"done": true}',
        unix_milliseconds(clock.now),
    )


@pytest.mark.parametrize(
    ("kind", "asked", "shown"),
    [
        ("SleepFor", {"sleepFor": 90}, {"sleepFor": 90_000}),
        ("SleepFor", {"sleepFor": 0.5, "sleepUntil": None}, {"sleepFor": 500}),
        ("SleepFor", {"sleepFor": "1d"}, {"sleepFor": 86_400_000}),
        ("SleepUntil", {"sleepUntil": 1_900_000_000.5}, {"sleepUntil": 1_900_000_000_500}),
        ("SleepFor", {"sleepFor": "a while"}, {}),
        ("SleepUntil", {}, {}),
    ],
)
def test_sleeps_are_shown_in_milliseconds(
    api: Api, run: RemoteRun, kind: str, asked: Json, shown: Json
):
    run.publish(1, "nap", kind, delay="60", **asked)

    nap = named(api, "nap")
    assert {key: nap[key] for key in ("sleepFor", "sleepUntil") if key in nap} == shown
    assert (nap["stepType"], nap["state"]) == (kind, "STEP_PROGRESS")


def test_a_sleep_is_a_success_once_it_is_over(api: Api, run: RemoteRun, clock: Clock):
    run.publish(1, "nap", "SleepFor", delay="60", sleepFor=60)
    clock.advance("1m")

    assert told(api) == [INIT, "sequential: nap success", "next: ? progress"]


def test_a_delivery_that_fails_shows_its_errors_and_when_it_is_tried_again(
    api: Api, run: RemoteRun, clock: Clock
):
    at = unix_milliseconds(clock.now)
    run.answered(500, b'{"error":"x"}', Upstash_Error_Step_Name=["charge"])

    assert steps(api) == [
        {
            "messageId": f"msg_r{run.row.pk}",
            "state": "STEP_RETRY",
            "stepName": "charge",
            "retries": 1,
            "errors": [
                {
                    "error": "500 Internal Server Error",
                    "status": 500,
                    "headers": {"Upstash-Error-Step-Name": ["charge"]},
                    "body": '{"error":"x"}',
                    "time": at,
                }
            ],
            "nextDeliveryTime": at + 12_000,
        }
    ]


def test_a_failed_delivery_shows_each_attempt_once(api: Api, run: RemoteRun):
    failing(run)

    (upcoming,) = steps(api)
    assert (upcoming["state"], len(upcoming["errors"])) == ("STEP_FAILED", 2)
    assert "nextDeliveryTime" not in upcoming


def test_an_endpoint_that_is_no_workflow_fails_the_run_with_one_error(
    api: Api, db: None, clock: Clock, endpoint: Endpoint
):
    run = RemoteRun.start(endpoint, endpoint_check="detect")
    run.answered(200, b"request caught")

    assert told(api) == [INIT, "next: ? failed"]
    (error,) = steps(api)[0]["errors"]
    assert (error["status"], error["body"]) == (200, "request caught")
    assert error["error"] == (
        "detected a non-workflow destination for trigger/invoke. make sure you are sending the "
        "request to the correct endpoint"
    )


def test_an_endpoint_that_cannot_be_reached_is_named(
    api: Api, run: RemoteRun, monkeypatch: pytest.MonkeyPatch
):
    def refuse(request: object) -> NoReturn:
        raise SendFailed("unreachable", "app.example refused the connection")

    monkeypatch.setattr(run.endpoint, "send", refuse)
    drain_here()

    (error,) = steps(api)[0]["errors"]
    assert (error["status"], error["error"]) == (502, "app.example refused the connection")


def test_a_call_is_shown_from_its_request_to_its_result(api: Api, run: RemoteRun, clock: Clock):
    drain_here()
    at = unix_milliseconds(clock.now)
    sent = run.call(1, "ask", THIRD, retries=1, retry_delay="60000")
    asked = {
        "stepId": 1,
        "stepName": "ask",
        "stepType": "Call",
        "concurrent": 1,
        "createdAt": at,
        "headers": HEADERS,
        "callUrl": THIRD,
        "callMethod": "POST",
        "callHeaders": {"Authorization": [redacted(b"Bearer s")]},
        "callBody": '{"q":1}',
    }
    requested = {
        **asked,
        "messageId": sent,
        "callType": "toCallback",
        "retries": 1,
        "retryDelay": "60000",
    }
    assert steps(api) == [{**requested, "state": "STEP_PROGRESS"}]

    run.answered(503, b"busy")
    (tried,) = steps(api)
    assert tried == {
        **requested,
        "state": "STEP_RETRY",
        "errors": [
            {
                "error": "503 Service Unavailable",
                "status": 503,
                "headers": {},
                "body": "busy",
                "time": at,
            }
        ],
        "nextDeliveryTime": at + 60_000,
    }

    clock.advance("1m")
    run.endpoint.answers_with(201, b"made", Server=["x"])
    drain_here(limit=1)
    answered = {
        **asked,
        "retries": 1,
        "callResponseStatus": 201,
        "callResponseHeaders": {"Server": ["x"]},
        "callResponseBody": "made",
    }
    (given,) = steps(api)
    assert given == {
        **answered,
        "callType": "fromCallback",
        "state": "STEP_PROGRESS",
        "messageId": given["messageId"],
    }

    out = '{"status":201,"body":"made","header":{}}'
    result = run.publish(1, "ask", "Call", out=out)
    assert steps(api)[0] == {
        **answered,
        "callType": "step",
        "state": "STEP_SUCCESS",
        "messageId": result,
        "out": out,
    }


def test_a_wait_is_shown_with_its_deadline_before_and_after_its_event(
    api: Api, run: RemoteRun, clock: Clock
):
    at = unix_milliseconds(clock.now)
    run.wait(1, "approval", "approved")
    waits = {
        "stepId": 1,
        "stepName": "approval",
        "stepType": "Wait",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": HEADERS,
        "retries": 1,
        "waitEventId": "approved",
        "waitTimeoutDuration": "20s",
        "waitTimeoutDeadline": at + 20_000,
        "waitTimeout": False,
    }
    (waiting_now,) = steps(api)
    assert waiting_now == {
        **waits,
        "state": "STEP_PROGRESS",
        "messageId": waiting_now["messageId"],
    }
    assert logged(api, query=f"messageId={waiting_now['messageId']}")

    clock.advance("5s")
    events.notify(run.account, "approved", b'{"by":"ada"}')
    done = named(api, "approval")
    assert done == {
        **waits,
        "state": "STEP_SUCCESS",
        "messageId": done["messageId"],
        "out": '{"by":"ada"}',
    }


def test_a_wait_that_its_run_did_not_live_to_see_the_end_of_is_shown_as_canceled(
    api: Api, run: RemoteRun, clock: Clock
):
    at = unix_milliseconds(clock.now)
    run.wait(1, "approval", "approved")
    clock.advance("5s")
    run.cancel()

    (given_up,) = steps(api)
    assert given_up == {
        "stepId": 1,
        "stepName": "approval",
        "stepType": "Wait",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": HEADERS,
        "retries": 1,
        "waitEventId": "approved",
        "waitTimeoutDuration": "20s",
        "waitTimeoutDeadline": at + 20_000,
        "waitTimeout": False,
        "state": "STEP_CANCELED",
        "messageId": given_up["messageId"],
    }
    assert logged(api, query=f"messageId={given_up['messageId']}")
    events = api.get("/v2/workflows/events").json()["events"]
    assert [each["state"] for each in events] == [
        "RUN_CANCELED",
        "STEP_CANCELED",
        "STEP_PROGRESS",
        "RUN_STARTED",
    ]
    assert events[1]["stepInfo"]["waitEventId"] == "approved"
    (canceled_step,) = api.get("/v2/workflows/events?state=STEP_CANCELED").json()["events"]
    assert canceled_step == events[1]
    assert not run.row.waiters.exists()


def test_a_wait_that_timed_out_says_so_and_has_no_out(api: Api, run: RemoteRun, clock: Clock):
    drain_here()
    run.wait(1, "approval", "approved")
    clock.advance("20s")
    drain_here()

    done = named(api, "approval")
    assert (done["state"], done["waitTimeout"], "out" in done) == ("STEP_SUCCESS", True, False)


def test_a_wait_that_an_sdk_completed_itself_is_shown_as_it_came(api: Api, run: RemoteRun):
    run.publish(1, "approval", "Wait", out="not base64!")

    assert named(api, "approval")["out"] == "not base64!"


def test_an_answer_without_a_record_of_its_attempts_is_shown_as_the_error_of_its_run(
    api: Api, run: RemoteRun
):
    failing(run)
    run.row.attempts.all().delete()

    (error,) = steps(api)[0]["errors"]
    assert (error["status"], error["body"]) == (500, "oops")


def test_an_invocation_is_shown_with_its_run_and_that_with_its_invoker(
    api: Api, run: RemoteRun, clock: Clock
):
    at = unix_milliseconds(clock.now)
    request = RunRequest(url=CHILD, run_id="child", body=b"hi", headers={"X-A": "b"})
    child = run.invoke(1, "child", request)

    (invocation,) = steps(api)
    assert invocation == {
        "messageId": f"msg_r{child.pk}",
        "state": "STEP_PROGRESS",
        "stepId": 1,
        "stepName": "child",
        "stepType": "Invoke",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": HEADERS,
        "retries": 1,
        "invokedWorkflowRunId": "child",
        "invokedWorkflowUrl": CHILD,
        "invokedWorkflowCreatedAt": at,
        "invokedWorkflowRunBody": "hi",
        "invokedWorkflowRunHeaders": {"X-A": ["b"]},
    }
    assert logged(api, "child")["invoker"] == {
        "workflowRunId": "run",
        "workflowUrl": URL,
        "workflowRunCreatedAt": at,
    }
    assert "invoker" not in logged(api)

    RemoteRun(run.account, child, run.endpoint).end('"done"')
    drain_here()
    assert named(api, "child")["out"] == '{"body":"\\"done\\"","isFailed":false,"isCanceled":false}'


def test_a_run_that_fails_leaves_the_runs_it_invoked_at_work(api: Api, run: RemoteRun):
    """Its log learns of their end all the same (Upstash reference 4.10 (6))."""
    drain_here()
    run.plan(1, "child", "Invoke", of=2)
    run.plan(2, "charge", "Run", of=2)
    child = child_of(run, concurrent=2)
    run.row.messages.exclude(key="2:plan").update(due_at=None)
    child.messages.update(due_at=None)
    failing(run)
    assert told(api) == [INIT, "parallel: child progress, charge failed"]

    RemoteRun(run.account, child, run.endpoint).end('"late"')

    assert told(api) == [INIT, "parallel: child success, charge failed"]
    assert named(api, "child")["out"] == '{"body":"\\"late\\"","isFailed":false,"isCanceled":false}'
    assert named(api, "child")["invokedWorkflowRunId"] == "child"


def test_a_run_that_is_canceled_cancels_what_it_waits_for(api: Api, run: RemoteRun):
    child = child_of(run)
    run.cancel()
    assert told(api) == [INIT, "sequential: child canceled"]

    RemoteRun(run.account, child, run.endpoint).cancel()
    assert told(api) == [INIT, "sequential: child success", "next: ? canceled"]


def test_a_branch_shows_what_it_was_planned_to_be(api: Api, run: RemoteRun, clock: Clock):
    at = unix_milliseconds(clock.now)
    planned = run.plan(1, "left", "Run", of=2)
    run.plan(2, "right", "Run", of=2)
    left = {
        "messageId": planned,
        "state": "STEP_PROGRESS",
        "stepId": 1,
        "targetStep": 1,
        "stepName": "left",
        "stepType": "Run",
        "callType": "step",
        "concurrent": 2,
        "createdAt": at,
        "headers": HEADERS,
        "retries": 1,
    }
    assert steps(api)[0] == left

    clock.advance("1s")
    result = run.publish(1, "left", out="1", concurrent=2)
    assert steps(api)[0] == {**left, "messageId": result, "state": "STEP_SUCCESS", "out": "1"}


def test_a_call_in_a_branch_stays_in_its_group(api: Api, run: RemoteRun):
    drain_here()
    run.plan(1, "ask", "Call", of=2)
    run.plan(2, "right", "Run", of=2)
    run.call(1, "ask", THIRD, concurrent=2)

    assert told(api) == [INIT, "parallel: ask progress, right progress"]
    assert steps(api)[0]["callType"] == "toCallback"


def test_a_step_may_differ_from_its_run_in_how_it_is_tried_again(api: Api, run: RemoteRun):
    drain_here()
    run.publish(1, "one", out="1")
    run.row.messages.update(request=encode_json({"retries": 7, "retryDelay": "5"}))

    assert steps(api)[1] == {
        "messageId": steps(api)[0]["messageId"],
        "state": "STEP_PROGRESS",
        "retries": 7,
        "retryDelay": "5",
    }


# -- failure callbacks


@pytest.fixture
def told_of_failure(db: None, clock: Clock, endpoint: Endpoint) -> RemoteRun:
    """A run that has failed, and whose failure URL has not been told yet."""
    run = RemoteRun.start(endpoint, retries=0, failure_url="https://app.example/failed")
    endpoint.answers_with(500, b"oops", X=["y"])
    drain_here(limit=1)
    return run


def test_a_failed_run_shows_what_became_of_its_failure_callback(
    api: Api, told_of_failure: RemoteRun
):
    letter = Run.objects.get().dead_letter
    shown = {
        "messageId": f"msg_failure_{told_of_failure.row.pk}",
        "url": "https://app.example/failed",
        "failHeaders": {"X": ["y"]},
        "failStatus": 500,
        "failResponse": "oops",
        "dlqId": letter.public_id,
        "maxRetries": 3,
    }
    assert logged(api)["failureFunction"] == {**shown, "state": "CALLBACK_INPROGRESS"}
    assert logged(api)["dlqId"] == letter.public_id

    told_of_failure.answered(200, b"thanks")
    assert logged(api)["failureFunction"] == {
        **shown,
        "state": "CALLBACK_SUCCESS",
        "responseStatus": 200,
        "responseHeaders": {},
        "responseBody": "thanks",
    }


def test_an_endpoint_without_a_failure_function_is_not_shown_to_have_one(
    api: Api, told_of_failure: RemoteRun
):
    told_of_failure.answered(200, Upstash_Workflow_Failure_Callback_Notfound=["true"])

    log = logged(api)
    assert ("failureFunction" in log, "dlqId" in log) == (False, True)


# -- redaction


def test_what_is_to_be_hidden_is_shown_as_hashes(
    api: Api, db: None, clock: Clock, endpoint: Endpoint
):
    run = RemoteRun.start(
        endpoint,
        body=b"the secret",
        headers={"Authorization": "the token", "X-Open": "plain"},
        redaction="body,header[Authorization]",
        retries=0,
    )
    drain_here()
    run.call(1, "ask", THIRD, body=b"the question", headers={"authorization": "the key"})
    endpoint.answers_with(200, b"the answer", **{"Set-Cookie": ["chocolate"]})
    drain_here()
    run.publish(1, "ask", "Call", out="the result")
    run.publish(2, "two", out="the secret")
    drain_here(limit=1)
    endpoint.answers.clear()
    endpoint.answers_with(400, b"the reason")
    drain_here()

    log = logged(api)
    initial, ask, two, failed = (group["steps"][0] for group in log["steps"])
    assert initial["out"] == two["out"] == redacted(b"the secret")
    assert initial["headers"]["Authorization"] == [redacted(b"the token")]
    assert initial["headers"]["X-Open"] == ["plain"]
    assert ask["callBody"] == redacted(b"the question")
    assert ask["callHeaders"] == {"Authorization": [redacted(b"the key")]}
    assert ask["callResponseBody"] == redacted(b"the answer")
    assert ask["callResponseHeaders"] == {"Set-Cookie": ["chocolate"]}
    assert ask["out"] == redacted(b"the result")
    assert failed["errors"][0]["body"] == redacted(b"the reason")
    assert failed["errors"][0]["error"] == "400 Bad Request"
    for path in ("/v2/workflows/logs", "/v2/workflows/dlq", "/v2/workflows/logs?trimBody=3"):
        assert "the " not in api.get(path).content.decode()


def test_headers_of_waiters_are_hidden(api: Api, db: None, clock: Clock, endpoint: Endpoint):
    run = RemoteRun.start(endpoint, redaction="header[X-Token]")
    run.wait(1, "approval", "approved", headers={"X-Token": "the key", "X-Open": "plain"})

    (waiter,) = api.get("/v2/waiters/approved").json()
    for headers in (waiter["headers"], waiter["timeoutHeaders"]):
        assert headers["Upstash-Forward-X-Token"] == [redacted(b"the key")]
        assert headers["Upstash-Forward-X-Open"] == ["plain"]


def test_what_is_delivered_is_not_redacted(api: Api, db: None, clock: Clock, endpoint: Endpoint):
    RemoteRun.start(endpoint, body=b"hi", headers={"X-Token": "t"}, redaction="body,header")
    drain_here()

    (delivery,) = endpoint.asked
    assert b'"body":"aGk="' in (delivery.body or b"")
    assert delivery.headers["X-Token"] == "t"


def test_a_hidden_response_stays_hidden_to_the_run_that_invoked(
    api: Api, run: RemoteRun, clock: Clock
):
    request = RunRequest(url=CHILD, run_id="child", body=b"the secret", redaction="body")
    child = run.invoke(1, "child", request)
    run.cancel()
    RemoteRun(run.account, child, run.endpoint).end("the secret")

    assert named(api, "child")["invokedWorkflowRunBody"] == redacted(b"the secret")
    assert "the secret" not in str(logged(api))
    assert logged(api, "child")["workflowRunResponse"] == redacted(b"the secret")


def test_bytes_that_are_no_text_are_hashed_as_they_came(
    api: Api, db: None, clock: Clock, endpoint: Endpoint
):
    RemoteRun.start(endpoint, body=b"\xff\x00", redaction="body")

    assert logged(api)["steps"][0]["steps"][0]["out"] == redacted(b"\xff\x00")


# -- lists


def test_runs_are_found_by_the_ids_of_their_messages(api: Api, run: RemoteRun):
    message_id = run.publish(1, "one", out="1")
    RemoteRun.start(run.endpoint, "other")

    for wanted in (message_id, f"msg_r{run.row.pk}", f"msg_failure_{run.row.pk}"):
        assert logged(api, query=f"messageId={wanted}")["workflowRunId"] == "run"
    assert api.get("/v2/workflows/logs?messageId=msg_x").json() == {"runs": []}


def test_the_number_of_queries_does_not_depend_on_the_number_of_steps(
    api: Api, run: RemoteRun, django_assert_num_queries: Any
):
    for number in range(1, 6):
        run.publish(number, "one", out="1")
    run.wait(6, "approval", "approved")
    child_of(run, 7)

    with django_assert_num_queries(8):
        assert len(api.get("/v2/workflows/logs").json()["runs"]) == 2


def test_results_can_be_trimmed(api: Api, run: RemoteRun):
    run.publish(1, "one", out="123456")

    (log,) = api.get("/v2/workflows/logs?trimBody=3").json()["runs"]
    assert log["steps"][1]["steps"][0]["out"] == "123"


def test_others_see_nothing_of_it(stranger: Api, run: RemoteRun):
    message_id = run.publish(1, "one", out="1")

    assert stranger.get(f"/v2/workflows/logs?messageId={message_id}").json() == {"runs": []}
