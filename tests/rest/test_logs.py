"""`GET /v2/workflows/logs` and `GET /v2/workflows/events?groupBy=workflowRunId`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, ThirdParty, answer_of
from workflows_app import StepError, WorkflowNonRetryableError
from workflows_app.engine import drain
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Attempt, Message, Run
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.redaction import redacted

Json = dict[str, Any]
Work = Callable[[], int]

HEADERS = {"Content-Type": ["application/json"]}


def start(api: Api, url: str, body: str = "", run_id: str = "run", **headers: str) -> int:
    """Trigger it; the number that its message ids carry."""
    response = api.post(f"/v2/trigger/{url}", body, upstash_workflow_runid=run_id, **headers)
    assert response.status_code == 200, response.content
    return Run.objects.latest("id").pk


def logged(api: Api, run_id: str = "run") -> Json:
    status, body = answer_of(api.get(f"/v2/workflows/logs?workflowRunId={run_id}"))
    assert (status, list(body)) == (200, ["runs"])
    (run,) = body["runs"]
    return dict(run)


def groups(api: Api) -> list[Json]:
    """All but the first, which is the start of the run."""
    return list(logged(api)["steps"][1:])


def initial(pk: int, at: int, out: str = "", **more: Any) -> Json:
    step = {
        "messageId": f"msg_r{pk}",
        "state": "STEP_SUCCESS",
        "stepName": "init",
        "stepType": "Initial",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": HEADERS,
        "out": out,
        "retries": 3,
        **more,
    }
    return {"type": "sequential", "steps": [step]}


def step(pk: int, number: int, name: str, at: int, **more: Any) -> Json:
    return {
        "messageId": f"msg_r{pk}-{number}",
        "state": "STEP_SUCCESS",
        "stepId": number,
        "stepName": name,
        "stepType": "Run",
        "callType": "step",
        "concurrent": 1,
        "createdAt": at,
        "headers": HEADERS,
        "retries": 3,
        **more,
    }


def sequential(step: Json) -> Json:
    return {"type": "sequential", "steps": [step]}


def upcoming(pk: int, number: int, state: str = "STEP_PROGRESS", **more: Any) -> Json:
    entry = {"messageId": f"msg_r{pk}-{number}", "state": state, "retries": 3, **more}
    return {"type": "next", "steps": [entry]}


def raised(kind: str, message: str, at: int) -> Json:
    return {
        "error": f"{kind}: {message}",
        "body": f'{{"error":"{kind}","message":"{message}"}}',
        "headers": {},
        "status": 500,
        "time": at,
    }


# -- runs


def test_a_fresh_run_shows_its_start_and_what_is_next(api: Api, registry: Register, clock: Clock):
    registry("noop")(lambda context: None)
    at = unix_milliseconds(clock.now)

    pk = start(
        api,
        serve_url("noop"),
        '{"a":1}',
        upstash_label="shop,fast",
        upstash_retry_delay="1000",
        upstash_forward_x_tenant="acme",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="parallelism=2",
    )

    headers = {**HEADERS, "X-Tenant": ["acme"]}
    assert logged(api) == {
        "workflowRunId": "run",
        "workflowUrl": serve_url("noop"),
        "workflowState": "RUN_STARTED",
        "workflowRunCreatedAt": at,
        "workflowRunCallerIp": "127.0.0.1",
        "label": "shop",
        "labels": ["shop", "fast"],
        "flowControlKey": "shop",
        "steps": [
            initial(pk, at, '{"a":1}', headers=headers, retryDelay="1000"),
            upcoming(pk, 1, retryDelay="1000"),
        ],
    }


def test_a_finished_run_shows_its_steps_and_its_result(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("sum")
    def add(context: Any) -> int:
        first = context.run("one", lambda: 1)
        nothing = context.run("nothing", lambda: None)
        assert nothing is None
        return int(first + context.atomic("two", lambda: 2))

    pk = start(api, serve_url("sum"))
    at = unix_milliseconds(clock.now)
    work()

    assert logged(api) == {
        "workflowRunId": "run",
        "workflowUrl": serve_url("sum"),
        "workflowState": "RUN_SUCCESS",
        "workflowRunCreatedAt": at,
        "workflowRunCompletedAt": at,
        "workflowRunCallerIp": "127.0.0.1",
        "workflowRunResponse": "3",
        "steps": [
            initial(pk, at),
            sequential(step(pk, 1, "one", at, out="1")),
            sequential(step(pk, 2, "nothing", at)),
            sequential(step(pk, 3, "two", at, out="2")),
        ],
    }


def test_a_run_without_a_result_has_no_response(api: Api, registry: Register, work: Work):
    registry("noop")(lambda context: None)
    start(api, serve_url("noop"))
    work()

    assert "workflowRunResponse" not in logged(api)


def test_a_payload_that_is_no_text_is_shown_in_base64(api: Api, registry: Register):
    registry("noop")(lambda context: None)
    response = api.post(f"/v2/trigger/{serve_url('noop')}", b"\xff\x00")

    log = logged(api, response.json()["workflowRunId"])

    assert log["steps"][0]["steps"][0]["out"] == "/wA="


def test_a_cancelled_run_says_where_it_was(api: Api, registry: Register, clock: Clock, work: Work):
    @registry("two-steps")
    def two_steps(context: Any) -> None:
        context.run("one", lambda: 1)
        context.cancel()

    pk = start(api, serve_url("two-steps"))
    at = unix_milliseconds(clock.now)
    work()

    log = logged(api)
    assert (log["workflowState"], log["workflowRunCompletedAt"]) == ("RUN_CANCELED", at)
    assert log["steps"][1:] == [
        sequential(step(pk, 1, "one", at, out="1")),
        upcoming(pk, 2, "STEP_CANCELED"),
    ]


# -- steps


def test_a_sleeping_run_ends_with_its_sleep(api: Api, registry: Register, clock: Clock, work: Work):
    @registry("nap")
    def nap(context: Any) -> None:
        context.sleep("nap", "1h30m")
        context.sleep_until("alarm", "2030-02-01T00:00:00Z")

    pk = start(api, serve_url("nap"))
    at = unix_milliseconds(clock.now)
    work()
    nap_log = step(pk, 1, "nap", at, stepType="SleepFor", sleepFor=5_400_000)

    assert groups(api) == [sequential({**nap_log, "state": "STEP_PROGRESS"})]

    later = unix_milliseconds(clock.advance("1h30m"))
    work()
    alarm = step(pk, 2, "alarm", later, stepType="SleepUntil", sleepUntil=1_896_134_400_000)
    assert groups(api) == [
        sequential(nap_log),
        sequential({**alarm, "state": "STEP_PROGRESS"}),
    ]

    api.delete("/v2/workflows/runs/run")
    assert groups(api) == [
        sequential(nap_log),
        sequential({**alarm, "state": "STEP_CANCELED"}),
    ]


def test_a_call_is_shown_under_way_failing_and_answered(
    api: Api, registry: Register, clock: Clock, work: Work, third_party: ThirdParty
):
    @registry("caller")
    def caller(context: Any) -> Any:
        response = context.call(
            "ask",
            url="https://api.example/x",
            method="POST",
            body={"q": 1},
            headers={"authorization": "Bearer s"},
            retries=1,
            retry_delay="60000",
        )
        return response.body

    pk = start(api, serve_url("caller"))
    at = unix_milliseconds(clock.now)
    drain.drain_here(limit=1)
    asked = {
        "stepType": "Call",
        "callUrl": "https://api.example/x",
        "callMethod": "POST",
        "callHeaders": {
            "Content-Type": ["application/json"],
            "Authorization": [redacted(b"Bearer s")],
        },
        "callBody": '{"q":1}',
    }
    under_way = {
        **asked,
        "messageId": f"msg_r{pk}-1",
        "stepId": 1,
        "stepName": "ask",
        "concurrent": 1,
        "callType": "toCallback",
        "headers": HEADERS,
        "retries": 1,
        "retryDelay": "60000",
    }
    assert groups(api) == [sequential({**under_way, "state": "STEP_PROGRESS"})]

    third_party.answers_with(503, b"busy", Server=["x"])
    work()
    error = {
        "error": "503 Service Unavailable",
        "body": "busy",
        "headers": {"Server": ["x"]},
        "status": 503,
        "time": at,
    }
    assert groups(api) == [
        sequential(
            {
                **under_way,
                "state": "STEP_RETRY",
                "errors": [error],
                "nextDeliveryTime": at + 60_000,
            }
        )
    ]

    later = unix_milliseconds(clock.advance("1m"))
    third_party.answers_with(201, b"made", Server=["y"])
    work()
    assert groups(api) == [
        sequential(
            step(
                pk,
                1,
                "ask",
                later,
                **asked,
                out='{"status":201,"header":{"Server":["y"]},"body":"made"}',
                callResponseStatus=201,
                callResponseHeaders={"Server": ["y"]},
                callResponseBody="made",
            )
        )
    ]


def test_a_call_without_a_body_shows_none(
    api: Api, registry: Register, work: Work, third_party: ThirdParty
):
    @registry("caller")
    def caller(context: Any) -> None:
        context.call("ask", url="https://api.example/x")

    third_party.answers_with(200)
    start(api, serve_url("caller"))
    work()

    assert "callBody" not in groups(api)[0]["steps"][0]


def test_a_step_that_is_tried_again_is_next_with_its_errors(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("flaky", retry_delay="1000")
    def flaky(context: Any) -> None:
        def attempt() -> None:
            raise ConnectionError(f"attempt {context.attempt}")

        context.run("same", lambda: 1)
        context.run("same", attempt)

    pk = start(api, serve_url("flaky"))
    at = unix_milliseconds(clock.now)
    work()
    later = unix_milliseconds(clock.advance("1s"))
    work()

    assert groups(api) == [
        sequential(step(pk, 1, "same", at, out="1", retryDelay="1000")),
        upcoming(
            pk,
            2,
            "STEP_RETRY",
            stepName="same",
            retryDelay="1000",
            errors=[
                raised("ConnectionError", "attempt 1", at),
                raised("ConnectionError", "attempt 2", later),
            ],
            nextDeliveryTime=later + 1000,
        ),
    ]

    api.delete("/v2/workflows/runs/run")
    (entry,) = groups(api)[-1]["steps"]
    assert (entry["state"], len(entry["errors"])) == ("STEP_CANCELED", 2)
    assert "nextDeliveryTime" not in entry


def test_a_name_that_looks_like_an_occurrence_stays_whole(api: Api, registry: Register, work: Work):
    @registry("issues")
    def issues(context: Any) -> None:
        def fail() -> None:
            raise ConnectionError

        context.run("issue #5", fail)

    start(api, serve_url("issues"))
    work()

    assert groups(api)[-1]["steps"][0]["stepName"] == "issue #5"


def test_a_function_that_is_tried_again_is_next_with_its_errors(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("fragile", retry_delay="1000")
    def fragile(context: Any) -> None:
        if context.attempt == 1:
            raise ValueError("not yet")
        context.run("one", lambda: 1)
        context.sleep("rest", "1h")
        context.run("two", lambda: 2)

    pk = start(api, serve_url("fragile"))
    at = unix_milliseconds(clock.now)
    work()

    assert groups(api) == [
        upcoming(
            pk,
            1,
            "STEP_RETRY",
            retryDelay="1000",
            errors=[raised("ValueError", "not yet", at)],
            nextDeliveryTime=at + 1000,
        )
    ]

    clock.advance("1s")
    work()
    clock.advance("1h")

    assert groups(api)[-1] == upcoming(pk, 3, retryDelay="1000")


def test_a_step_without_retries_left_is_the_failed_next(api: Api, broken, clock: Clock, work: Work):
    pk = start(api, broken)
    at = unix_milliseconds(clock.now)
    work()
    letter = Run.objects.get().dead_letter

    assert logged(api) == {
        "workflowRunId": "run",
        "workflowUrl": broken,
        "workflowState": "RUN_FAILED",
        "workflowRunCreatedAt": at,
        "workflowRunCompletedAt": at,
        "workflowRunCallerIp": "127.0.0.1",
        "dlqId": f"{at}-{letter.pk}",
        "steps": [
            initial(pk, at, retries=0),
            sequential(step(pk, 1, "unlock", at, out='"unlocked 1 times"', retries=0)),
            upcoming(
                pk,
                2,
                "STEP_FAILED",
                stepName="sell",
                retries=0,
                errors=[raised("ConnectionError", "the shop is closed", at)],
            ),
        ],
    }


def test_a_function_without_retries_left_is_the_failed_next(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("fragile", retries=0)
    def fragile(context: Any) -> None:
        raise ValueError("never")

    pk = start(api, serve_url("fragile"))
    at = unix_milliseconds(clock.now)
    work()

    assert groups(api) == [
        upcoming(pk, 1, "STEP_FAILED", retries=0, errors=[raised("ValueError", "never", at)])
    ]


def test_a_function_that_fails_at_once_is_the_failed_next(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("fatal")
    def fatal(context: Any) -> None:
        raise WorkflowNonRetryableError("never")

    pk = start(api, serve_url("fatal"))
    at = unix_milliseconds(clock.now)
    work()

    error = raised("WorkflowNonRetryableError", "never", at)
    assert groups(api) == [upcoming(pk, 1, "STEP_FAILED", errors=[error])]


def test_a_failed_step_that_the_workflow_handles_is_one_among_others(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("careful", retries=0)
    def careful(context: Any) -> None:
        def fail() -> None:
            raise ConnectionError("closed")

        try:
            context.run("try", fail)
        except StepError:
            context.run("give-up", lambda: "so be it")

    pk = start(api, serve_url("careful"))
    at = unix_milliseconds(clock.now)
    work()

    error = raised("ConnectionError", "closed", at)
    assert groups(api) == [
        sequential(step(pk, 1, "try", at, state="STEP_FAILED", retries=0, errors=[error])),
        sequential(step(pk, 2, "give-up", at, retries=0, out='"so be it"')),
    ]


def test_parallel_steps_are_one_group_in_the_order_of_their_branches(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("fan")
    def fan(context: Any) -> None:
        def flaky() -> None:
            raise ConnectionError("busy")

        context.run("before", lambda: 0)
        context.parallel(
            partial(context.run, "flaky", flaky),
            partial(context.sleep, "nap", "1h"),
            partial(context.run, "ok", lambda: 1),
        )

    pk = start(api, serve_url("fan"))
    at = unix_milliseconds(clock.now)
    work()

    assert groups(api) == [
        sequential(step(pk, 1, "before", at, out="0")),
        {
            "type": "parallel",
            "steps": [
                step(
                    pk,
                    2,
                    "flaky",
                    at,
                    concurrent=3,
                    state="STEP_RETRY",
                    errors=[raised("ConnectionError", "busy", at)],
                    nextDeliveryTime=at + 12_000,
                ),
                step(
                    pk,
                    3,
                    "nap",
                    at,
                    concurrent=3,
                    state="STEP_PROGRESS",
                    stepType="SleepFor",
                    sleepFor=3_600_000,
                ),
                step(pk, 4, "ok", at, concurrent=3, out="1"),
            ],
        },
    ]


def test_a_branch_that_fails_the_run_is_shown_in_its_group(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("fan", retries=0)
    def fan(context: Any) -> None:
        def fail() -> None:
            raise ConnectionError("closed")

        context.parallel(partial(context.run, "fail", fail), partial(context.run, "ok", lambda: 1))

    pk = start(api, serve_url("fan"))
    at = unix_milliseconds(clock.now)
    work()

    error = raised("ConnectionError", "closed", at)
    failed = step(pk, 1, "fail", at, concurrent=2, retries=0, state="STEP_FAILED", errors=[error])
    ok = step(pk, 2, "ok", at, concurrent=2, retries=0, out="1")
    assert groups(api) == [{"type": "parallel", "steps": [failed, ok]}]


# -- the failure function


def test_a_failure_function_is_shown_with_what_became_of_it(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("doomed", retries=1, retry_delay="1000")
    def doomed(context: Any) -> None:
        raise WorkflowNonRetryableError("no")

    def told(failure: Any) -> str:
        if failure.attempt == 1:
            raise ConnectionError("mail is down")
        return "told"

    doomed.on_failure(told)
    pk = start(api, serve_url("doomed"))
    at = unix_milliseconds(clock.now)
    drain.drain_here(limit=1)
    letter = Run.objects.get().dead_letter
    shown = {
        "messageId": f"msg_failure_{pk}",
        "url": serve_url("doomed"),
        "failHeaders": {},
        "failStatus": 500,
        "failResponse": '{"error":"WorkflowNonRetryableError","message":"no"}',
        "dlqId": letter.public_id,
        "maxRetries": 1,
    }
    assert logged(api)["failureFunction"] == {**shown, "state": "CALLBACK_INPROGRESS"}

    work()
    error = raised("ConnectionError", "mail is down", at)
    assert logged(api)["failureFunction"] == {
        **shown,
        "state": "CALLBACK_INPROGRESS",
        "errors": [error],
        "nextDeliveryTime": at + 1000,
    }

    clock.advance("1s")
    work()
    assert logged(api)["failureFunction"] == {
        **shown,
        "state": "CALLBACK_SUCCESS",
        "errors": [error],
        "responseStatus": 200,
        "responseHeaders": {},
        "responseBody": '"told"',
    }


def test_a_failure_function_that_fails_for_good_shows_no_stack(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("doomed", retries=0)
    def doomed(context: Any) -> None:
        raise ValueError("no")

    def told(failure: Any) -> None:
        raise ConnectionError("mail is down")

    doomed.on_failure(told)
    start(api, serve_url("doomed"))
    work()

    shown = logged(api)["failureFunction"]
    assert (shown["state"], shown["responseStatus"]) == ("CALLBACK_FAIL", 500)
    assert shown["responseBody"] == '{"error":"ConnectionError","message":"mail is down"}'
    assert "Traceback" not in str(logged(api))


# -- lists


@pytest.fixture
def five(api: Api, hello, clock: Clock) -> list[str]:
    """Ids of five runs, newest first; a minute lies between them."""
    for number in range(5):
        start(api, hello, run_id=f"run-{number}", upstash_label="odd" if number % 2 else "even")
        clock.advance("1m")
    return [f"run-{number}" for number in reversed(range(5))]


def ids(body: Json) -> list[str]:
    return [run["workflowRunId"] for run in body["runs"]]


def test_runs_are_listed_newest_first(api: Api, five):
    status, body = answer_of(api.get("/v2/workflows/logs"))

    assert (status, ids(body), "cursor" in body) == (200, five, False)


def test_pages_are_joined_by_cursors_until_there_is_none(api: Api, five, hello):
    first = api.get("/v2/workflows/logs?count=2").json()
    start(api, hello, run_id="meanwhile")
    second = api.get(f"/v2/workflows/logs?count=2&cursor={first['cursor']}").json()
    third = api.get(f"/v2/workflows/logs?count=2&cursor={second['cursor']}").json()

    assert ids(first) + ids(second) + ids(third) == five
    assert "cursor" not in third


def test_a_page_holds_ten_runs_at_most(api: Api, hello):
    for number in range(11):
        start(api, hello, run_id=f"run-{number}")

    assert len(api.get("/v2/workflows/logs?count=1000").json()["runs"]) == 10
    assert len(api.get("/v2/workflows/logs?cursor=").json()["runs"]) == 10


def test_an_id_that_was_used_again_lists_all_its_runs(api: Api, hello, clock: Clock, work: Work):
    start(api, hello)
    first_at = unix_milliseconds(clock.now)
    work()
    clock.advance("1s")
    start(api, hello)

    both = api.get("/v2/workflows/logs?workflowRunId=run").json()["runs"]
    one = api.get(f"/v2/workflows/logs?workflowRuns=run@{first_at}").json()["runs"]

    assert [run["workflowState"] for run in both] == ["RUN_STARTED", "RUN_SUCCESS"]
    assert [run["workflowRunCreatedAt"] for run in one] == [first_at]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=RUN_STARTED", ["run-4", "run-3"]),
        ("state=RUN_SUCCESS", ["run-2", "run-1"]),
        ("state=RUN_CANCELED,RUN_SUCCESS", ["run-2", "run-1", "run-0"]),
        ("state=RUN_FAILED", []),
        ("label=odd", ["run-3", "run-1"]),
        ("label=odd&state=RUN_STARTED", ["run-3"]),
        ("messageId=msg_r{pk}", ["run-2"]),
        ("messageId=msg_r{pk}-1", ["run-2"]),
        ("messageId=other", []),
        ("workflowRunId=run-0&workflowRunId=run-4", ["run-4", "run-0"]),
        ("nonsense=1&workflowRunId=run-0", ["run-0"]),
    ],
)
def test_filters_narrow_the_list(api: Api, five, work: Work, query: str, expected: list[str]):
    Message.objects.filter(run__run_id__in=["run-3", "run-4"]).update(due_at=None)
    api.delete("/v2/workflows/runs/run-0")
    work()
    pk = Run.objects.get(run_id="run-2").pk

    assert ids(api.get(f"/v2/workflows/logs?{query.format(pk=pk)}").json()) == expected


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "cursor=none",
            "'none' is not a cursor; send the one that came with the page before, or none",
        ),
        (
            "cursor=%C3%BC",
            "'ü' is not a cursor; send the one that came with the page before, or none",
        ),
        ("count=0", "count is 0 but must be 1 or more"),
        (
            "state=RUNNING",
            "state is 'RUNNING' but must be one of RUN_STARTED, RUN_SUCCESS, RUN_FAILED, "
            "RUN_CANCELED",
        ),
        ("workflowRuns=run", "workflowRuns holds 'run'; it must be ID@createdAt"),
        (
            "workflowRuns=run@noon",
            "workflowRuns is 'noon' but must be a time in unix milliseconds",
        ),
        ("trimBody=true", "trimBody is 'true' but must be a whole number, 0 or more"),
    ],
)
def test_a_filter_that_cannot_be_used_is_refused(api: Api, query: str, sentence: str):
    assert answer_of(api.get(f"/v2/workflows/logs?{query}")) == (400, {"error": sentence})


def test_bodies_can_be_trimmed(api: Api, hello, work: Work):
    start(api, hello, '"a long name"')
    work()

    (run,) = api.get("/v2/workflows/logs?trimBody=4").json()["runs"]

    assert run["workflowRunResponse"] == '{"he'
    assert [group["steps"][0]["out"] for group in run["steps"]] == ['"a l', '"a l']


def test_events_grouped_by_run_are_the_logs(api: Api, five):
    events = api.get("/v2/workflows/events?groupBy=workflowRunId&count=3")

    assert answer_of(events) == answer_of(api.get("/v2/workflows/logs?count=3"))


def test_what_is_to_be_hidden_is_shown_as_hashes(
    api: Api, registry: Register, work: Work, third_party: ThirdParty
):
    @registry("secretive", retries=0)
    def secretive(context: Any) -> None:
        context.run("look", lambda: "the secret")
        context.call("ask", url="https://api.example/x", body="the question", method="POST")
        raise ValueError(f"the secret of {context.headers['X-Token']}")

    third_party.answers_with(200, b"the answer")
    start(
        api,
        serve_url("secretive"),
        "the payload",
        upstash_redact_fields="body, header[x-token]",
        upstash_forward_x_token="the key",
    )
    work()

    log = logged(api)
    initial_, look, ask, failed = (group["steps"][0] for group in log["steps"])
    assert initial_["out"] == redacted(b"the payload")
    assert initial_["headers"]["X-Token"] == [redacted(b"the key")]
    assert look["out"] == redacted(b'"the secret"')
    assert (ask["callBody"], ask["callResponseBody"]) == (
        redacted(b"the question"),
        redacted(b"the answer"),
    )
    assert failed["errors"][0]["error"] == f"ValueError: {redacted(b'the secret of the key')}"
    for path in ("logs", "logs?trimBody=3", "events", "dlq"):
        assert "the " not in api.get(f"/v2/workflows/{path}").content.decode()


def test_a_result_can_be_hidden_by_python_code_too(api: Api, registry: Register, work: Work):
    secretive = registry("secretive")(lambda context: "the secret")
    secretive.trigger(workflow_run_id="run", redact="body")
    work()

    assert logged(api)["workflowRunResponse"] == redacted(b'"the secret"')


def test_the_number_of_queries_does_not_depend_on_the_number_of_runs(
    api: Api, hello, broken, work: Work, django_assert_num_queries
):
    for number in range(9):
        start(api, hello if number % 3 else broken, run_id=f"run-{number}")
    work()

    with django_assert_num_queries(8):
        runs = api.get("/v2/workflows/logs").json()["runs"]

    assert len(runs) == 9


def test_what_a_superseded_attempt_did_is_no_error_of_its_step(api: Api, hello, clock: Clock):
    start(api, hello)
    run = Run.objects.get()
    Attempt.objects.create(
        run=run,
        key="",
        outcome=Attempt.Outcome.SUPERSEDED,
        number=1,
        error="{}",
        started_at=clock.now - timedelta(seconds=1),
        ended_at=clock.now,
    )

    assert groups(api) == [upcoming(run.pk, 1, retries=0)]
