"""The dead letter queue: list, resume, restart, delete, failure callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Register, Shop, ThirdParty, answer_of
from workflows_app import get_workflow
from workflows_app.engine import drain
from workflows_app.engine.addresses import serve_url
from workflows_app.models import DeadLetter, Message, Run, Step
from workflows_app.protocol.durations import unix_milliseconds

Json = dict[str, Any]
Work = Callable[[], int]

LISTS = ["/v2/workflows/dlq", "/v2/dlq?source=workflow"]


@pytest.fixture
def fail(api: Api, broken, work: Work) -> Callable[..., str]:
    """Have a run of that id fail; the id of its entry."""

    def fail(run_id: str, body: str = "", **headers: str) -> str:
        response = api.post(f"/v2/trigger/{broken}", body, upstash_workflow_runid=run_id, **headers)
        assert response.status_code == 200, response.content
        work()
        return DeadLetter.objects.get(run__run_id=run_id).public_id

    return fail


Fail = Callable[..., str]


def ids(body: Json) -> list[str]:
    return [message["dlqId"] for message in body["messages"]]


# -- lists


@pytest.mark.parametrize("path", LISTS)
def test_a_failed_run_is_listed_with_all_that_is_known(
    api: Api, fail: Fail, broken, clock: Clock, path: str
):
    dlq_id = fail(
        "run",
        '{"a":1}',
        upstash_retries="1",
        upstash_retry_delay="0",
        upstash_label="shop,fast",
        upstash_forward_x_tenant="acme",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="parallelism=2,rate=50,period=1m",
    )
    at = unix_milliseconds(clock.now)
    run = Run.objects.get()

    assert dlq_id == f"{at}-{run.dead_letter.pk}"
    assert answer_of(api.get(path)) == (
        200,
        {
            "messages": [
                {
                    "dlqId": dlq_id,
                    "messageId": f"msg_r{run.pk}",
                    "url": broken,
                    "method": "POST",
                    "header": {"Content-Type": ["application/json"], "X-Tenant": ["acme"]},
                    "body": '{"a":1}',
                    "maxRetries": 1,
                    "notBefore": at,
                    "createdAt": at,
                    "callerIP": "127.0.0.1",
                    "workflowRunId": "run",
                    "workflowCreatedAt": at,
                    "workflowUrl": broken,
                    "responseStatus": 500,
                    "responseHeader": {},
                    "responseBody": '{"error":"StepError","message":"step \\"sell\\" failed after '
                    '2 attempts: ConnectionError: the shop is closed"}',
                    "retryDelayExpression": "0",
                    "label": "shop",
                    "labels": ["shop", "fast"],
                    "flowControlKey": "shop",
                    "parallelism": 2,
                    "rate": 50,
                    "period": 60,
                }
            ]
        },
    )


def test_one_entry_is_shown_as_in_the_list(api: Api, fail: Fail):
    dlq_id = fail("run", upstash_flow_control_key="k", upstash_flow_control_value="parallelism=1")

    (listed,) = api.get("/v2/workflows/dlq").json()["messages"]

    assert answer_of(api.get(f"/v2/workflows/dlq/{dlq_id}")) == (200, listed)
    assert (listed["parallelism"], "rate" in listed, "period" in listed) == (1, False, False)


def test_a_payload_that_is_no_text_is_shown_in_base64(api: Api, broken, work: Work):
    api.post(f"/v2/trigger/{broken}", b"\xff\x00")
    work()

    (entry,) = api.get("/v2/workflows/dlq").json()["messages"]

    assert (entry["bodyBase64"], "body" in entry) == ("/wA=", False)


def test_without_source_workflow_there_are_no_failed_runs(api: Api, fail: Fail):
    fail("run")

    assert answer_of(api.get("/v2/dlq")) == (200, {"messages": []})


def test_of_the_mixed_queue_failed_runs_are_only_read(api: Api):
    assert api.delete("/v2/dlq?source=workflow").status_code == 400


def test_pages_are_joined_by_cursors_until_there_is_none(api: Api, fail: Fail):
    three = [fail(run_id) for run_id in "abc"]

    first = api.get("/v2/workflows/dlq?count=2").json()
    second = api.get(f"/v2/workflows/dlq?count=2&cursor={first['cursor']}").json()

    assert ids(first) + ids(second) == three[::-1]
    assert "cursor" not in second


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("workflowRunId=a", ["a"]),
        ("dlqIds={b}", ["b"]),
        ("dlqIds={a},{b},7-7,nonsense", ["a", "b"]),
        ("label=red", ["a"]),
        ("label=red,blue", ["a", "b"]),
        ("workflowUrl={url}", ["a", "b"]),
        ("url={url}", ["a", "b"]),
        ("url=https://other.example", []),
        ("responseStatus=500", ["a", "b"]),
        ("responseStatus=503", []),
        ("failureFunctionState=CALLBACK_INPROGRESS", []),
        ("fromDate={failed_b}", ["b"]),
        ("toDate={failed_a}", ["a"]),
        ("workflowRunId=b&workflowCreatedAt={made_b}", ["b"]),
        ("flowControlKey=none", []),
    ],
)
def test_filters_narrow_the_list(
    api: Api, fail: Fail, broken, clock: Clock, query: str, expected: list[str]
):
    known = {"url": broken}
    for run_id, label in (("a", "red"), ("b", "blue")):
        known[f"made_{run_id}"] = str(unix_milliseconds(clock.now))
        clock.advance("1m")
        known[run_id] = fail(run_id, upstash_label=label)
        known[f"failed_{run_id}"] = str(unix_milliseconds(clock.now))
    known["made_b"] = known["failed_b"]

    body = api.get(f"/v2/workflows/dlq?{query.format(**known)}").json()

    assert sorted(message["workflowRunId"] for message in body["messages"]) == expected


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("responseStatus=bad", "responseStatus is 'bad' but must be a whole number, 0 or more"),
        (
            "failureFunctionState=FAILED",
            "failureFunctionState is 'FAILED' but must be one of CALLBACK_INPROGRESS, "
            "CALLBACK_SUCCESS, CALLBACK_FAIL, CALLBACK_CANCELED",
        ),
    ],
)
def test_a_filter_that_cannot_be_used_is_refused(api: Api, query: str, sentence: str):
    assert answer_of(api.get(f"/v2/workflows/dlq?{query}")) == (400, {"error": sentence})


def test_the_number_of_queries_does_not_depend_on_the_number_of_entries(
    api: Api, fail: Fail, django_assert_num_queries
):
    for number in range(5):
        fail(f"run-{number}")

    with django_assert_num_queries(2):
        assert len(api.get("/v2/workflows/dlq").json()["messages"]) == 5


# -- resume and restart


def test_a_run_whose_steps_have_been_undone_is_not_resumed(
    api: Api, registry: Register, shop: Shop, work: Work
):
    @registry("undone", retries=0)
    def undone(context: Any) -> None:
        context.options(rollback=lambda undo: None).run("unlock", shop.unlock)
        context.run("sell", shop.sell)

    get_workflow("undone").trigger(workflow_run_id="run")
    work()
    dlq_id = DeadLetter.objects.get().public_id

    assert answer_of(api.post(f"/v2/workflows/dlq/resume/{dlq_id}")) == (
        400,
        {
            "error": "run run was rolled back: what its steps had done has been undone, so there "
            "is nothing to go on with; restart it, to run all steps again"
        },
    )
    assert answer_of(api.post(f"/v2/workflows/dlq/restart/{dlq_id}"))[0] == 200


def test_the_log_of_a_run_that_was_rolled_back_shows_each_undoing(
    api: Api, registry: Register, shop: Shop, work: Work
):
    @registry("undone", retries=0)
    def undone(context: Any) -> None:
        context.options(rollback=lambda undo: None).run("unlock", shop.unlock)
        context.run("sell", shop.sell)

    get_workflow("undone").trigger(workflow_run_id="run")
    work()
    _, logs = answer_of(api.get("/v2/workflows/logs"))

    (run,) = logs["runs"]
    steps = [step for group in run["steps"][1:] for step in group["steps"]]
    assert [(step["stepName"], step["state"]) for step in steps] == [
        ("unlock", "STEP_SUCCESS"),
        ("sell", "STEP_FAILED"),
        ("rollback", "STEP_SUCCESS"),
        ("undo unlock", "STEP_SUCCESS"),
    ]
    _, told = answer_of(api.get("/v2/workflows/events?state=STEP_SUCCESS"))
    assert [event["stepInfo"]["stepName"] for event in told["events"]] == [
        "undo unlock",
        "rollback",
        "unlock",
    ]


@pytest.mark.parametrize(
    ("verb", "steps", "result"),
    [
        ("resume", ["sell"], '"unlocked 1 times, sold"'),
        ("restart", ["unlock", "sell"], '"unlocked 2 times, sold"'),
    ],
)
def test_a_failed_run_goes_on_as_another(
    api: Api,
    fail: Fail,
    shop: Shop,
    clock: Clock,
    work: Work,
    verb: str,
    steps: list[str],
    result: str,
):
    dlq_id = fail("run", '{"a":1}', upstash_label="shop", upstash_forward_x_tenant="acme")
    shop.is_open = True
    now = unix_milliseconds(clock.advance("1h"))

    response = api.post(f"/v2/workflows/dlq/{verb}/{dlq_id}")

    new = Run.objects.latest("id")
    assert answer_of(response) == (200, {"workflowRunId": new.run_id, "workflowCreatedAt": now})
    assert new.run_id.startswith("wfr_")
    assert (new.label_list, new.header_map) == (["shop"], {"X-Tenant": "acme"})
    assert bytes(new.payload) == b'{"a":1}'
    assert not DeadLetter.objects.exists()
    work()
    new.refresh_from_db()
    assert (new.status, new.result) == (Run.Status.SUCCEEDED, result)
    assert shop.ran == ["unlock", "sell", *steps]
    assert Run.objects.get(run_id="run").status == Run.Status.FAILED


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_headers_change_what_the_new_run_does(api: Api, fail: Fail, clock: Clock, verb: str):
    dlq_id = fail("run", upstash_label="shop")

    api.post(
        f"/v2/workflows/dlq/{verb}/{dlq_id}",
        upstash_retries="9",
        upstash_retry_delay="5",
        upstash_delay="1h",
        upstash_label="again",
        upstash_failure_callback="https://ops.example.org/failed",
        upstash_flow_control_key="slow",
        upstash_flow_control_value="rate=1",
    )

    new = Run.objects.latest("id")
    assert (new.retries, new.retry_delay, new.label_list) == (9, "5", ["again"])
    assert new.failure_url == "https://ops.example.org/failed"
    assert new.flow_control is not None
    assert new.flow_control.key == "slow"
    assert Message.objects.get().due_at == clock.now + timedelta(hours=1)


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_many_go_on_at_once(api: Api, fail: Fail, clock: Clock, verb: str):
    a, b = fail("a"), fail("b")
    fail("c")

    response = api.post(f"/v2/workflows/dlq/{verb}?dlqIds={a}&dlqIds={b}")

    runs = list(Run.objects.filter(origin__run_id__in=["a", "b"]).order_by("id"))
    assert answer_of(response) == (
        200,
        {
            "workflowRuns": [
                {"workflowRunId": run.run_id, "workflowCreatedAt": unix_milliseconds(clock.now)}
                for run in runs
            ]
        },
    )
    assert list(DeadLetter.objects.values_list("run__run_id", flat=True)) == ["c"]


def test_filters_can_come_in_the_body(api: Api, fail: Fail):
    fail("a", upstash_label="red")
    fail("b")

    response = api.post("/v2/workflows/dlq/resume", json.dumps({"label": "red"}))

    assert len(response.json()["workflowRuns"]) == 1
    assert Run.objects.latest("id").origin == Run.objects.get(run_id="a")


def test_fifty_go_on_at_most_and_a_cursor_tells_of_the_rest(api: Api, broken, work: Work):
    api.post("/v2/batch/trigger", json.dumps([{"destination": broken}] * 51))
    work()

    first = api.post("/v2/workflows/dlq/restart?count=100").json()
    second = api.post(f"/v2/workflows/dlq/restart?cursor={first['cursor']}").json()

    assert [len(body["workflowRuns"]) for body in (first, second)] == [50, 1]
    assert "cursor" not in second
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("verb", ["resume", "restart"])
def test_unless_all_named_entries_are_there_none_goes_on(api: Api, fail: Fail, verb: str):
    a = fail("a")

    response = api.post(f"/v2/workflows/dlq/{verb}?dlqIds={a},1-999")

    assert answer_of(response) == (
        404,
        {
            "error": 'there is no entry "1-999" in the dead letter queue of this account that the '
            "other filters match; nothing was started"
        },
    )
    assert Run.objects.count() == 1


@pytest.mark.parametrize("verb", ["resume", "restart"])
@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"upstash_retries": "1001"}, 412, "retries must be 0 to 1000, not 1001"),
        ({"upstash_delay": "2y"}, 412, "a run can be delayed by at most 365d, not 730d"),
        (
            {"upstash_label": "x" * 256},
            400,
            f"a label is a text of 1 to 255 characters without a comma, not '{'x' * 79}",
        ),
        ({"upstash_retries": "x"}, 400, "Upstash-Retries: 'x' must be a whole number, 0 or more."),
    ],
)
def test_options_that_cannot_be_used_start_nothing(
    api: Api, fail: Fail, verb: str, headers: dict[str, str], status: int, sentence: str
):
    dlq_id = fail("a")

    for path in (f"{verb}/{dlq_id}", verb):
        response = api.post(f"/v2/workflows/dlq/{path}", **headers)
        assert answer_of(response) == (status, {"error": sentence})
    assert (Run.objects.count(), DeadLetter.objects.count()) == (1, 1)


def test_an_entry_goes_on_once(api: Api, fail: Fail):
    dlq_id = fail("a")
    api.post(f"/v2/workflows/dlq/resume/{dlq_id}")

    again = api.post(f"/v2/workflows/dlq/resume/{dlq_id}")

    assert answer_of(again) == (
        404,
        {"error": f'there is no entry "{dlq_id}" in the dead letter queue of this account'},
    )


# -- delete


def test_an_entry_is_deleted_and_its_run_stays(api: Api, fail: Fail):
    dlq_id = fail("a")

    assert answer_of(api.delete(f"/v2/workflows/dlq/{dlq_id}")) == (200, {"deleted": 1})
    assert Run.objects.get().status == Run.Status.FAILED
    assert Step.objects.count() == 2
    assert api.get(f"/v2/workflows/dlq/{dlq_id}").status_code == 404


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("dlqIds={a}&dlqIds={b}", ["c"]),
        ("dlqIds={a},{b},1-999,nonsense", ["c"]),
        ("label=red", ["b", "c"]),
        ("label=red,blue&workflowRunId=b", ["a", "c"]),
        ("failureCallbackState=CALLBACK_FAIL", ["a", "b", "c"]),
        ("", []),
        ("count=100", []),
        ("count=2", ["a"]),
    ],
)
def test_many_are_deleted(api: Api, fail: Fail, query: str, left: list[str]):
    known = {
        run_id: fail(run_id, upstash_label=label)
        for run_id, label in (("a", "red"), ("b", "blue"), ("c", "green"))
    }

    response = api.delete(f"/v2/workflows/dlq?{query.format(**known)}")

    assert response.json()["deleted"] == 3 - len(left)
    assert sorted(DeadLetter.objects.values_list("run__run_id", flat=True)) == left


def test_ids_can_come_in_the_body(api: Api, fail: Fail):
    a = fail("a")
    fail("b")

    response = api.delete("/v2/workflows/dlq", json.dumps({"dlqIds": [a]}))

    assert answer_of(response) == (200, {"deleted": 1})


def test_a_cursor_tells_of_the_rest(api: Api, fail: Fail):
    for run_id in "abc":
        fail(run_id)

    first = api.delete("/v2/workflows/dlq?count=2").json()
    second = api.delete(f"/v2/workflows/dlq?count=2&cursor={first['cursor']}").json()

    assert (first["deleted"], second) == (2, {"deleted": 1})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v2/workflows/dlq"),
        ("POST", "/v2/workflows/dlq/resume"),
        ("POST", "/v2/workflows/dlq/restart"),
    ],
)
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("labeel=red", "'labeel' is not a filter here; known are "),
        ("dlqIds=", "dlqIds is empty; give it a value or leave it out"),
        ("cursor=x", "'x' is not a cursor"),
    ],
)
def test_a_filter_that_cannot_be_used_touches_nothing(
    api: Api, fail: Fail, method: str, path: str, query: str, sentence: str
):
    fail("a")

    response = api._send(method, f"{path}?{query}", "", {})

    assert response.status_code == 400
    assert response.json()["error"].startswith(sentence)
    assert (Run.objects.count(), DeadLetter.objects.count()) == (1, 1)


def test_more_ids_than_go_on_at_once_are_refused(api: Api):
    named = ",".join(f"1-{number}" for number in range(51))

    assert answer_of(api.post(f"/v2/workflows/dlq/resume?dlqIds={named}")) == (
        400,
        {"error": "dlqIds has 51 ids; at most 50 are taken at once"},
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "resume/"),
        ("POST", "restart/"),
        ("POST", "callback/"),
        ("DELETE", "callback/"),
    ],
)
@pytest.mark.parametrize("dlq_id", ["1-999", "nonsense", "1-99999999999999999999"])
def test_an_unknown_or_malformed_id_is_refused(api: Api, method: str, path: str, dlq_id: str):
    response = api._send(method, f"/v2/workflows/dlq/{path}{dlq_id}", "", {})

    assert (response.status_code, list(response.json())) == (404, ["error"])
    assert dlq_id in response.json()["error"]


def test_an_id_with_the_number_of_another_entry_is_unknown(api: Api, fail: Fail):
    number = fail("a").partition("-")[2]

    assert api.get(f"/v2/workflows/dlq/1-{number}").status_code == 404
    assert answer_of(api.delete(f"/v2/workflows/dlq?dlqIds=1-{number}")) == (200, {"deleted": 0})


# -- failure callbacks


@pytest.fixture
def mail(registry: Register, broken, work: Work) -> list[bool]:
    """What the failure function is to find: whether mail works, one value an attempt."""
    works: list[bool] = []

    def told(failure: Any) -> None:
        if not works.pop(0):
            raise ConnectionError("mail is down")

    get_workflow("broken").on_failure(told)
    return works


def callback_info(api: Api, dlq_id: str) -> Any:
    entry = api.get(f"/v2/workflows/dlq/{dlq_id}").json()
    assert entry["failureFunctionState"] == entry["failureCallbackInfo"]["state"]
    return entry["failureCallback"], entry["failureCallbackInfo"]


def test_a_failed_failure_callback_is_sent_again(
    api: Api, mail: list[bool], fail: Fail, broken, clock: Clock, work: Work
):
    mail += [False, True]
    dlq_id = fail("a")
    assert callback_info(api, dlq_id) == (
        broken,
        {
            "state": "CALLBACK_FAIL",
            "responseStatus": 500,
            "responseHeaders": {},
            "responseBody": '{"error":"ConnectionError","message":"mail is down"}',
        },
    )

    response = api.post(f"/v2/workflows/dlq/callback/{dlq_id}")

    at = unix_milliseconds(clock.now)
    assert answer_of(response) == (200, {"workflowRunId": "a", "workflowCreatedAt": at})
    assert callback_info(api, dlq_id)[1]["state"] == "CALLBACK_INPROGRESS"
    work()
    assert callback_info(api, dlq_id)[1] == {
        "state": "CALLBACK_SUCCESS",
        "responseStatus": 200,
        "responseHeaders": {},
        "responseBody": "",
    }


def test_only_a_failed_failure_callback_is_sent_again(
    api: Api, mail: list[bool], fail: Fail, work: Work
):
    mail += [True]
    dlq_id = fail("a")

    assert answer_of(api.post(f"/v2/workflows/dlq/callback/{dlq_id}")) == (
        400,
        {"error": "run a has no failed failure callback to retry"},
    )


def test_a_failure_callback_under_way_is_cancelled(
    api: Api, mail: list[bool], broken, clock: Clock
):
    mail += [False]
    api.post(
        f"/v2/trigger/{broken}",
        upstash_workflow_runid="a",
        upstash_retries="1",
        upstash_retry_delay="0",
    )
    drain.drain_here(limit=3)
    dlq_id = DeadLetter.objects.get().public_id

    response = api.delete(f"/v2/workflows/dlq/callback/{dlq_id}")

    at = unix_milliseconds(clock.now)
    assert answer_of(response) == (200, {"workflowRunId": "a", "workflowCreatedAt": at})
    assert callback_info(api, dlq_id)[1] == {"state": "CALLBACK_CANCELED"}
    assert Message.objects.count() == 0
    assert answer_of(api.delete(f"/v2/workflows/dlq/callback/{dlq_id}")) == (
        400,
        {"error": "run a has no failure callback under way to cancel"},
    )


def test_the_failure_url_is_what_is_called_back(api: Api, fail: Fail, third_party: ThirdParty):
    third_party.answers_with(200)
    dlq_id = fail("a", upstash_failure_callback="https://ops.invalid/failed")

    assert callback_info(api, dlq_id)[0] == "https://ops.invalid/failed"


def test_an_entry_that_failed_by_an_answer_has_its_status(api: Api, fail: Fail, clock: Clock):
    dlq_id = fail("a")
    fail("b")
    Run.objects.filter(run_id="a").update(
        error='{"type":"HttpError","message":"m","stack":"","status":503,'
        '"headers":{"Server":["x"]},"body":"busy"}'
    )

    entry = api.get(f"/v2/workflows/dlq/{dlq_id}").json()
    by_status = {
        status: ids(api.get(f"/v2/workflows/dlq?responseStatus={status}").json())
        for status in (500, 503, 50)
    }

    assert (entry["responseStatus"], entry["responseHeader"], entry["responseBody"]) == (
        503,
        {"Server": ["x"]},
        "busy",
    )
    assert by_status == {
        500: [DeadLetter.objects.get(run__run_id="b").public_id],
        503: [dlq_id],
        50: [],
    }


def test_a_deleted_entry_takes_its_failure_callback_with_it(
    api: Api, mail: list[bool], broken, clock: Clock
):
    api.post(f"/v2/trigger/{broken}", upstash_workflow_runid="a")
    drain.drain_here(limit=1)
    assert Message.objects.count() == 1

    api.delete("/v2/workflows/dlq")

    assert Message.objects.count() == 0
    assert "failureFunction" not in api.get("/v2/workflows/logs").json()["runs"][0]


def test_serve_url_of_the_workflow_is_where_its_failure_function_is(
    api: Api, mail: list[bool], fail: Fail
):
    mail += [True]

    assert callback_info(api, fail("a"))[0] == serve_url("broken")
