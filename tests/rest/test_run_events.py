"""`GET /v2/workflows/events`: what happened to runs, one event at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, Endpoint, Register, answer_of
from tests.rest.remote_runs import URL, RemoteRun
from workflows_app.engine.addresses import serve_url
from workflows_app.engine.drain import drain_here
from workflows_app.engine.events import notify
from workflows_app.models import DeadLetter, Run
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.redaction import redacted
from workflows_app.protocol.runs import RunRequest

Json = dict[str, Any]
Work = Callable[[], int]

PATH = "/v2/workflows/events"


@pytest.fixture
def run(db: None, clock: Clock, endpoint: Endpoint) -> RemoteRun:
    return RemoteRun.start(endpoint, retries=1, caller_ip="203.0.113.7", labels=("shop",))


def events(api: Api, query: str = "") -> list[Json]:
    status, body = answer_of(api.get(f"{PATH}?{query}"))
    assert status == 200, body
    return list(body["events"])


def told(api: Api, query: str = "") -> list[str]:
    """State and step of each, newest first."""
    return [
        f"{event['state']} {event.get('stepInfo', {}).get('stepName', '')}".strip()
        for event in events(api, query)
    ]


def test_a_run_tells_its_story_newest_first(api: Api, run: RemoteRun, clock: Clock):
    drain_here()
    clock.advance("1s")
    run.call(1, "ask", "https://api.example/x")
    clock.advance("1s")
    run.answered(200, b"hi")
    clock.advance("1s")
    run.publish(1, "ask", "Call", out='{"status":200}')
    clock.advance("1s")
    run.publish(2, "nap", "SleepFor", delay="60", sleepFor=60)
    assert told(api)[0] == "STEP_PROGRESS nap"
    clock.advance("1m1s")
    run.wait(3, "approval", "approved")
    assert told(api)[0] == "STEP_PROGRESS approval"
    clock.advance("1s")
    notify(run.account, "approved", b"yes")
    clock.advance("1s")
    run.end('"done"')

    assert events(api)[0]["workflowRunResponse"] == '"done"'
    assert told(api) == [
        "RUN_SUCCESS",
        "STEP_SUCCESS approval",
        "STEP_SUCCESS nap",
        "STEP_PROGRESS nap",
        "STEP_SUCCESS ask",
        "STEP_PROGRESS ask",
        "STEP_PROGRESS ask",
        "RUN_STARTED",
    ]
    answered, sent = (event["stepInfo"] for event in events(api)[5:7])
    assert (sent["callType"], sent["callBody"]) == ("toCallback", '{"q":1}')
    assert (answered["callType"], answered["callResponseBody"]) == ("fromCallback", "hi")


def test_an_event_says_of_which_run_and_step_it_tells(api: Api, run: RemoteRun, clock: Clock):
    created = unix_milliseconds(clock.now)
    at = unix_milliseconds(clock.advance("1s"))
    message_id = run.publish(1, "one", out="[1]")

    whose = {
        "workflowRunId": "run",
        "workflowUrl": URL,
        "workflowCreatedAt": created,
        "callerIp": "203.0.113.7",
        "label": "shop",
        "labels": ["shop"],
    }
    assert events(api) == [
        {
            "time": at,
            "state": "STEP_SUCCESS",
            **whose,
            "stepInfo": {
                "messageId": message_id,
                "stepId": 1,
                "stepName": "one",
                "stepType": "Run",
                "callType": "step",
                "concurrent": 1,
                "createdAt": at,
                "out": "[1]",
            },
        },
        {
            "time": created,
            "state": "RUN_STARTED",
            **whose,
            "headers": {"Content-Type": ["application/json"]},
        },
    ]


def test_failed_deliveries_say_why_and_when_they_are_tried_again(
    api: Api, run: RemoteRun, clock: Clock
):
    at = unix_milliseconds(clock.now)
    run.answered(500, b"oops", Upstash_Error_Step_Name=["charge"])
    retried = events(api, "state=STEP_RETRY")
    clock.advance("12s")
    run.answered(400, b"no")

    assert [
        {name: event[name] for name in event if not name.startswith(("workflow", "label", "call"))}
        for event in retried
    ] == [
        {
            "time": at,
            "state": "STEP_RETRY",
            "stepInfo": {"messageId": f"msg_r{run.row.pk}", "stepName": "charge"},
            "error": "500 Internal Server Error",
            "responseStatus": 500,
            "responseHeaders": {"Upstash-Error-Step-Name": ["charge"]},
            "responseBody": "oops",
            "nextDeliveryTime": at + 12_000,
        }
    ]
    assert told(api) == ["RUN_FAILED", "STEP_FAILED", "STEP_RETRY charge", "RUN_STARTED"]
    (failed,) = events(api, "state=RUN_FAILED")
    assert (failed["dlqId"], failed["responseStatus"], failed["responseBody"]) == (
        DeadLetter.objects.get().public_id,
        400,
        "no",
    )


def test_branches_are_told_of_from_their_plans(api: Api, run: RemoteRun, clock: Clock):
    drain_here()
    run.plan(1, "left", "Run", of=2)
    run.plan(2, "right", "Run", of=2)
    clock.advance("1s")
    run.answered(500)
    run.publish(2, "right", out="2", concurrent=2)

    assert sorted(told(api, "state=STEP_PROGRESS")) == ["STEP_PROGRESS left", "STEP_PROGRESS right"]
    assert told(api, "state=STEP_RETRY") == ["STEP_RETRY left"]
    assert told(api, "state=STEP_SUCCESS") == ["STEP_SUCCESS right"]


def test_invocations_and_invokers_are_told_of(api: Api, run: RemoteRun, clock: Clock):
    clock.advance("1s")
    run.invoke(1, "child", RunRequest(url="https://app.example/child", run_id="child"))

    started, invoked = sorted(events(api)[:2], key=lambda event: event["state"])
    assert (invoked["stepInfo"]["stepType"], invoked["stepInfo"]["invokedWorkflowRunId"]) == (
        "Invoke",
        "child",
    )
    assert started["workflowRunId"] == "child"
    assert (started["invokerWorkflowRunId"], started["invokerWorkflowUrl"]) == ("run", URL)


def test_runs_that_are_worked_on_here_tell_theirs(
    api: Api, registry: Register, clock: Clock, work: Work
):
    @registry("careful", retries=0)
    def careful(context: Any) -> str:
        def fail() -> None:
            raise ConnectionError("closed")

        context.run("one", lambda: 1)
        context.run("two", fail)
        return "never"

    api.post(f"/v2/trigger/{serve_url('careful')}")
    clock.advance("1s")
    work()

    assert told(api) == ["RUN_FAILED", "STEP_SUCCESS one", "STEP_FAILED two", "RUN_STARTED"]
    failed = events(api, "state=STEP_FAILED")[0]
    assert failed["error"] == "ConnectionError: closed"


def test_a_sleep_that_was_cut_short_never_was_a_success(api: Api, run: RemoteRun, clock: Clock):
    run.publish(1, "nap", "SleepFor", delay="60", sleepFor=60)
    run.cancel()
    clock.advance("1h")

    assert sorted(told(api)) == ["RUN_CANCELED", "RUN_STARTED", "STEP_PROGRESS nap"]


@pytest.fixture
def long_story(run: RemoteRun, clock: Clock) -> list[str]:
    """Two events at each of several moments; their states and steps, newest first."""
    for number in range(1, 4):
        clock.advance("1s")
        run.publish(2 * number, f"step {2 * number}")
        run.publish(2 * number + 1, f"step {2 * number + 1}")
    return [f"STEP_SUCCESS step {number}" for number in range(7, 1, -1)] + ["RUN_STARTED"]


def test_pages_are_joined_by_cursors_until_there_is_none(
    api: Api, run: RemoteRun, long_story: list[str]
):
    pages: list[list[str]] = []
    cursor = ""
    while not pages or cursor:
        page = api.get(f"{PATH}?count=3&cursor={cursor}").json()
        pages.append([event.get("stepInfo", {}).get("stepName", "") for event in page["events"]])
        cursor = page.get("cursor", "")
        run.publish(100 + len(pages), "meanwhile")

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == [
        told.removeprefix("STEP_SUCCESS ").removeprefix("RUN_STARTED") for told in long_story
    ]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("", 8),
        ("workflowRunId=run", 7),
        ("label=shop", 7),
        ("state=RUN_STARTED", 2),
        ("state=RUN_STARTED,STEP_SUCCESS&label=shop", 7),
        ("state=RUN_FAILED", 0),
        ("fromDate={at}", 3),
        ("toDate={at}&workflowRunId=run", 7),
        ("fromDate={at}&toDate={at}&label=shop", 2),
        ("messageId=msg_r{other}", 1),
    ],
)
def test_filters_narrow_the_list(
    api: Api, run: RemoteRun, long_story: list[str], clock: Clock, query: str, number: int
):
    other = RemoteRun.start(run.endpoint, "other")
    at = unix_milliseconds(clock.now)

    assert len(events(api, query.format(at=at, other=other.row.pk))) == number


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("state=RUNNING", "state is 'RUNNING' but must be one of RUN_STARTED, "),
        ("groupBy=messageId", "groupBy is 'messageId' but must be workflowRunId or absent"),
        ("cursor=none", "'none' is not a cursor; send the one that came"),
        ("cursor=MjAzMC0wMS0wMVQwMDowMDowMC8wLzE", "'MjAz"),
        # A moment with another offset, which no database could hold as UTC.
        ("cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMC8wLzE", "'MDAw"),
        # The thirtieth of February.
        ("cursor=MjAzMC0wMi0zMFQwMDowMDowMCswMDowMC8wLzE", "'MjAz"),
        ("count=0", "count is 0 but must be 1 or more"),
    ],
)
def test_what_cannot_be_used_is_refused(api: Api, query: str, sentence: str):
    status, body = answer_of(api.get(f"{PATH}?{query}"))

    assert (status, body["error"].startswith(sentence)) == (400, True), body


def test_what_is_to_be_hidden_is_hidden_here_too(
    api: Api, db: None, clock: Clock, endpoint: Endpoint
):
    run = RemoteRun.start(
        endpoint, headers={"X-Token": "the key"}, redaction="body,header[X-Token]", retries=0
    )
    run.publish(1, "one", out="the secret")
    run.answered(500, b"the reason")

    shown = api.get(PATH).content.decode()
    assert "the " not in shown
    assert redacted(b"the secret") in shown


def test_answers_can_be_trimmed(api: Api, run: RemoteRun):
    run.publish(1, "one", out="123456")

    assert events(api, "trimBody=3&state=STEP_SUCCESS")[0]["stepInfo"]["out"] == "123"


def test_others_see_none_of_it(stranger: Api, run: RemoteRun):
    run.publish(1, "one")

    assert events(stranger) == []


def test_the_number_of_queries_does_not_depend_on_the_number_of_events(
    api: Api, run: RemoteRun, django_assert_max_num_queries: Any
):
    for number in range(1, 30):
        run.publish(number, "one")
    run.answered(500)
    assert Run.objects.count() == 1

    with django_assert_max_num_queries(12):
        assert len(events(api, "count=1000")) == 31
