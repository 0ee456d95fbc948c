"""What no SDK sends: refused for good, or kept; and never in the way of anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.remote.conftest import URL, Define, the_run
from tests.remote.programs import OK, Program, call, run
from tests.rest.conftest import Api
from workflows_app.models import Message, Run, Step
from workflows_app.protocol.exchange import Answer

Work = Callable[[], int]
THIRD = "https://third.example/q"

ODD_STEPS = {
    "nothing": "",
    "no JSON": "\x00\ufffd{",
    "null": "null",
    "too deep": "[" * 100_000,
    "a huge id": '{"stepId":99999999999999999999,"stepName":"a","stepType":"Run"}',
    "an endless id": '{"stepId":1e400,"stepName":"a","stepType":"Run"}',
    "an endless result": '{"stepId":1,"stepName":"a","stepType":"Run","out":1e400}',
    "NUL and half a character": '{"stepId":1,"stepName":"\\u0000\\ud800","stepType":"Run"}',
    "a long name": json.dumps({"stepId": 1, "stepName": "x" * 100_000, "stepType": "Run"}),
    "odd numbers": '{"stepId":0,"stepName":"a","stepType":"Run","targetStep":1,"concurrent":-1}',
}
PAGES = ("logs", "events", "runs/order-7")


@pytest.fixture
def story(program: Define) -> Program:
    """Its run is live, and nothing is owed for it."""
    made = program(run("first"))
    made.trigger()
    Message.objects.all().delete()
    return made


def publish(story: Program, body: str, destination: str = URL, **headers: str) -> Any:
    item = {
        "destination": destination,
        "headers": {**story.base("order-7"), **headers},
        "body": body,
    }
    return story.api.post("/v2/batch", json.dumps([item]))


def look(api: Api) -> list[int]:
    return [api.get(f"/v2/workflows/{page}").status_code for page in PAGES]


@pytest.mark.parametrize("said", ODD_STEPS.values(), ids=ODD_STEPS)
def test_whatever_a_step_says_its_endpoint_gets_it_back_and_people_can_look(
    story: Program, api: Api, work: Work, said: str
) -> None:
    story.trouble = [Answer(status=200, headers=OK, body=b"")]

    assert publish(story, said).status_code == 200
    work()

    assert bytes(Step.objects.first().raw or b"") == said.encode()  # type: ignore[union-attr]
    assert story.deliveries[0].elements[1]["callType"] == "step"
    assert the_run().status == Run.Status.RUNNING
    assert look(api) == [200, 200, 200]


@pytest.mark.parametrize("concurrent", ["9" * 5000, "٣", "many", "-1", ""])
def test_odd_numbers_of_a_call_are_taken_for_none(
    story: Program, api: Api, concurrent: str
) -> None:
    headers = story._call_headers(story.base("order-7"), 1, call("ask", THIRD), 1)
    headers["Upstash-Callback-Forward-Upstash-Workflow-Concurrent"] = concurrent

    assert publish(story, "", THIRD, **headers).status_code == 200
    assert look(api) == [200, 200, 200]


@pytest.mark.parametrize("number", ["", "0", "٣", "-1", "1" * 10, "one"])
def test_a_call_of_no_step_is_refused_for_good(story: Program, number: str) -> None:
    headers = story._call_headers(story.base("order-7"), 1, call("ask", THIRD), 1)
    headers["Upstash-Callback-Forward-Upstash-Workflow-StepId"] = number

    assert publish(story, "", THIRD, **headers).status_code == 412


@pytest.mark.parametrize(
    "envelope",
    [
        "",
        "[]",
        '{"workflowRunId":7}',
        '{"workflowRunId":"a/b"}',
        '{"workflowRunId":"order-7"}',
        '{"workflowRunId":"order-7","step":{"stepId":0}}',
        '{"workflowRunId":"order-7","step":{"stepId":1e400}}',
        '{"workflowRunId":"order-7","body":7}',
    ],
)
def test_an_invocation_that_makes_no_sense_is_refused_for_good(
    story: Program, envelope: str
) -> None:
    answer = publish(story, envelope, **{"Upstash-Workflow-Invoke": "true"})

    assert answer.status_code == 412
    assert Run.objects.count() == 1


def test_an_invocation_of_a_workflow_that_is_not_here_is_refused_for_good(
    story: Program, hello: str
) -> None:
    step = {"stepId": 1, "stepName": "ask", "stepType": "Invoke"}
    envelope = json.dumps({"workflowRunId": "order-7", "step": step})

    unknown = f"{hello.rstrip('/')}-not"
    answer = publish(story, envelope, unknown, **{"Upstash-Workflow-Invoke": "true"})

    assert answer.status_code == 412
