"""What an endpoint's answer means (Upstash reference 4.1, 4.10)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.conftest import Clock
from tests.remote.conftest import URL, Define, World, answered, the_run
from tests.remote.programs import OK, run, sleep
from tests.rest.conftest import Api
from workflows_app.models import Attempt, DeadLetter, Message, Run
from workflows_app.protocol.exchange import Answer, SendFailed

Work = Callable[[], int]


def test_a_failed_delivery_is_made_again_by_the_policy_of_the_run(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(run("first"))
    story.trouble = [answered(500, b"oh no")]
    story.trigger()
    work()
    assert len(story.deliveries) == 1

    clock.advance("11s")
    work()
    assert len(story.deliveries) == 1
    clock.advance("1s")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_retries_that_are_used_up_fail_the_run(program: Define, work: Work, clock: Clock) -> None:
    story = program(run("first"))
    story.trouble = [answered(500), answered(503, b"down")]
    story.trigger(Upstash_Retries="1", Upstash_Retry_Delay="1000")
    work()
    clock.advance("1s")
    work()

    found = the_run()
    assert found.status == Run.Status.FAILED
    assert (found.error_info or {})["status"] == 503
    assert (found.error_info or {})["body"] == "down"
    assert DeadLetter.objects.get().run == found
    assert not Message.objects.exists()
    assert Attempt.objects.count() == 2


@pytest.mark.parametrize(
    "answer",
    [answered(489), answered(500, Upstash_Nonretryable_Error="true")],
    ids=["489", "the non-retryable header"],
)
def test_a_final_failure_is_not_tried_again(program: Define, work: Work, answer: Answer) -> None:
    story = program(run("first"))
    story.trouble = [answer]
    story.trigger()
    work()
    assert the_run().status == Run.Status.FAILED
    assert len(story.deliveries) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("1m", 60), ("Wed, 02 Jan 2030 12:00:30 GMT", 30)],
)
def test_an_endpoint_may_say_when_to_try_again(
    program: Define, work: Work, clock: Clock, value: str, seconds: int
) -> None:
    story = program(run("first"))
    story.trouble = [answered(429, Retry_After=value)]
    story.trigger()
    work()
    clock.advance(timedelta(seconds=seconds - 1))
    work()
    assert len(story.deliveries) == 1
    clock.advance("1s")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_success_without_the_protocol_s_header_is_of_no_workflow(
    program: Define, work: Work
) -> None:
    story = program(run("first"))
    story.trouble = [answered(200, b"<html>")]
    story.trigger()
    work()

    error = the_run().error_info or {}
    assert error["message"] == (
        "detected a non-workflow destination for trigger/invoke. "
        "make sure you are sending the request to the correct endpoint"
    )
    assert error["body"] == "<html>"
    assert len(story.deliveries) == 1


def test_an_endpoint_that_cannot_be_reached_is_tried_again(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program(run("first"))

    def unreachable(_: object) -> Answer:
        raise SendFailed("unreachable", "app.example: there is no such host.")

    story.trouble = [unreachable]
    story.trigger()
    work()
    assert the_run().is_live
    clock.advance("12s")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_a_failed_branch_fails_the_run_and_drops_what_had_not_begun(
    program: Define, work: Work, clock: Clock
) -> None:
    story = program([run("left"), sleep("right", "1h")])
    story.trouble = [None, answered(489)]
    story.trigger()
    work()
    assert the_run().status == Run.Status.FAILED
    clock.advance("1h")
    assert work() == 0


def test_what_comes_for_a_run_that_has_ended_is_refused(
    program: Define, api: Api, work: Work
) -> None:
    story = program(run("first"))
    story.trigger()
    work()
    step = json.dumps({"stepId": 9, "stepName": "late", "stepType": "Run", "concurrent": 1})

    late = api._send("POST", f"/v2/publish/{URL}", step, story.base("order-7"))
    unknown = api._send("POST", f"/v2/publish/{URL}", step, story.base("never"))

    assert (late.status_code, unknown.status_code) == (400, 400)
    assert "accepts nothing more" in late.json()["error"]


def test_one_bad_step_refuses_the_whole_batch_with_412(
    program: Define, api: Api, work: Work
) -> None:
    story = program(sleep("nap", "1h"))
    story.trigger()
    work()
    good = {"stepId": 5, "stepName": "good", "stepType": "Run", "concurrent": 1}
    item = story._item(story.base("order-7"), good)
    bad = story._item({**story.base("order-7"), "Upstash-Retries": "1000000"}, good)

    answer = api.post("/v2/batch", json.dumps([item, bad]))

    assert answer.status_code == 412
    assert answer.json()["error"].startswith("item 1: ")
    assert the_run().steps.filter(key="5").count() == 0


BAD_INPUT = [
    {"Upstash-Retry-Delay": "retried *"},
    {"Upstash-Delay": "soon"},
    {"Upstash-Flow-Control-Key": "mail"},
    {"Upstash-Label": "a\nb"},
]


@pytest.mark.parametrize("said", BAD_INPUT)
def test_bad_input_of_a_trigger_from_outside_is_400_for_whoever_calls(
    program: Define, said: dict[str, str]
) -> None:
    answer = program(run("first")).trigger(**said)

    assert answer.status_code == 400
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"Upstash-Workflow-Init": "true", "Upstash-Workflow-Invoke": "true"},
        {"Upstash-Workflow-Init": "true", "Upstash-Workflow-Trigger-By-Sdk": "true"},
    ],
    ids=["step", "invocation", "trigger of an unknown SDK"],
)
@pytest.mark.parametrize("said", BAD_INPUT)
def test_bad_input_of_an_endpoint_is_412_as_its_sdk_takes_400_for_the_end_of_the_run(
    program: Define, api: Api, kind: dict[str, str], said: dict[str, str]
) -> None:
    story = program(run("first"))
    story.trigger()
    item = story._item({**story.base("order-7"), **kind, **said}, {})

    answer = api.post("/v2/batch", json.dumps([item]))

    assert answer.status_code == 412
    assert the_run().steps.count() == 0


def test_too_many_retries_of_a_trigger_are_a_limit_that_is_exceeded(program: Define) -> None:
    assert program(run("first")).trigger(Upstash_Retries="1000000").status_code == 412


def test_the_end_can_be_told_again_and_changes_nothing(
    program: Define, api: Api, work: Work
) -> None:
    story = program(run("first"), returns='"done"')
    story.trigger()
    work()

    again = api.delete("/v2/workflows/runs/order-7?cancel=false", b'"changed"')
    unknown = api.delete("/v2/workflows/runs/never?cancel=false")

    assert (again.status_code, unknown.status_code) == (200, 200)
    assert the_run().result == '"done"'


def test_a_failure_is_told_with_what_the_sdks_read(
    program: Define, world: World, work: Work
) -> None:
    story = program(run("first"))
    story.trouble = [answered(500, b'{"error":"Error","message":"sold out"}')]
    story.trigger(
        body='{"order":7}',
        Upstash_Retries="0",
        Upstash_Failure_Callback=URL,
        Upstash_Failure_Callback_Forward_Mood="sad",
        Upstash_Failure_Callback_Forward_Upstash_Workflow_Is_Failure="true",
        Upstash_Forward_Authorization="Bearer mine",
    )
    work()

    (told,) = story.failures
    said = json.loads(told.request.body or b"")
    assert base64.b64decode(said["body"]) == b'{"error":"Error","message":"sold out"}'
    assert base64.b64decode(said["sourceBody"]) == b'{"order":7}'
    assert (said["status"], said["url"], said["workflowRunId"]) == (500, URL, "order-7")
    assert said["retried"] == said["maxRetries"] == 0
    assert told.headers["Mood"] == "sad"
    assert told.headers["Upstash-Workflow-Failure-Callback"] == "true"
    assert told.headers["Upstash-Workflow-Runid"] == "order-7"
    assert "Authorization" not in told.headers
    assert "Upstash-Workflow-Sdk-Version" not in told.headers
    assert DeadLetter.objects.get().callback_state == "succeeded"


@pytest.mark.parametrize("failure_url", [URL, "https://others.example/failed"])
def test_a_failure_url_of_others_is_not_told_the_headers_of_a_run_that_was_triggered(
    api: Api, world: World, work: Work, failure_url: str
) -> None:
    world.answers[URL] = [answered(489), answered(200)]
    world.answers[failure_url] = world.answers[failure_url] or [answered(200)]

    api.post(
        f"/v2/trigger/{URL}",
        "{}",
        upstash_forward_authorization="Bearer ours",
        upstash_failure_callback=failure_url,
        upstash_failure_callback_forward_x_for="them",
    )
    work()

    told = world.asked[-1]
    assert (told.url, told.headers["X-For"]) == (failure_url, "them")
    assert ("Authorization" in told.headers) is (failure_url == URL)


def test_a_failed_failure_callback_is_tried_again_and_then_said_to_have_failed(
    program: Define, world: World, work: Work, clock: Clock
) -> None:
    story = program(run("first"))
    story.trouble = [answered(500)]
    world.answers["https://app.example/failed"] = [answered(500), answered(500)]
    story.trigger(
        Upstash_Retries="0",
        Upstash_Failure_Callback="https://app.example/failed",
        Upstash_Failure_Callback_Retries="1",
        Upstash_Failure_Callback_Retry_Delay="1000",
    )
    work()
    clock.advance("1s")
    work()

    assert len(world.asked) == 2
    assert DeadLetter.objects.get().callback_state == "failed"


def test_an_endpoint_without_a_failure_function_says_so_and_is_left_alone(
    program: Define, world: World, work: Work
) -> None:
    story = program(run("first"))
    story.trouble = [answered(489)]
    world.answers["https://app.example/failed"] = [
        answered(200, Upstash_Workflow_Failure_Callback_Notfound="true")
    ]
    story.trigger(Upstash_Failure_Callback="https://app.example/failed")
    work()
    assert DeadLetter.objects.get().callback_state == ""


def test_a_run_started_by_the_api_needs_an_sdk_that_says_who_it_is(
    program: Define, api: Api, work: Work
) -> None:
    story = program()
    story.trouble = [Answer(status=200, headers=OK, body=b"")]
    api.post(f"/v2/trigger/{URL}", b"{}", upstash_workflow_runid="order-7")
    work()
    assert (the_run().error_info or {})["message"] == (
        "trigger rest api is only usable with sdk versions after v1.0.0 major version"
    )


def test_a_run_started_by_the_api_goes_on_with_an_endpoint_that_publishes(
    program: Define, api: Api, work: Work
) -> None:
    """Python's SDK never says who it is."""
    program(run("first"))
    api.post(f"/v2/trigger/{URL}", b"{}", upstash_workflow_runid="order-7")
    work()
    assert the_run().status == Run.Status.SUCCEEDED


def test_an_sdk_that_takes_a_run_over_starts_it_with_its_own_payload(
    program: Define, api: Api, work: Work
) -> None:
    story = program(run("first"))

    def take_over(_: object) -> Answer:
        answer = story.trigger(body='{"by":"sdk"}', Upstash_Workflow_Trigger_By_Sdk="true")
        assert "deduplicated" not in answer.json()[0]
        return Answer(status=200, headers=OK, body=b"")

    story.trouble = [take_over]
    api.post(
        f"/v2/trigger/{URL}",
        b'{"by":"api"}',
        upstash_workflow_runid="order-7",
        upstash_workflow_unknown_sdk="true",
    )
    work()

    first, again, *_ = story.deliveries
    assert first.headers["Upstash-Workflow-Unknown-Sdk"] == "true"
    assert "Upstash-Workflow-Unknown-Sdk" not in again.headers
    assert (first.payload, again.payload) == (b'{"by":"api"}', b'{"by":"sdk"}')
    assert the_run().status == Run.Status.SUCCEEDED
    assert Run.objects.count() == 1


def test_a_live_run_s_id_is_not_used_twice(program: Define, work: Work) -> None:
    story = program(sleep("nap", "1h"))
    story.trigger()
    assert story.trigger().json()[0]["deduplicated"] is True
    assert Run.objects.count() == 1


def test_a_stranger_cannot_publish_for_a_run(program: Define, stranger: Api, work: Work) -> None:
    story = program(sleep("nap", "1h"))
    story.trigger()
    work()
    step = json.dumps({"stepId": 1, "stepName": "nap", "stepType": "Run", "concurrent": 1})

    answer = stranger._send("POST", f"/v2/publish/{URL}", step, story.base("order-7"))

    assert answer.status_code == 400
    assert stranger.delete("/v2/workflows/runs/order-7?cancel=false").status_code == 200
    assert stranger.get("/v2/workflows/runs/order-7").status_code == 404
    assert the_run().is_live
