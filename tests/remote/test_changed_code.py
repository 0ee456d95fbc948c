"""Endpoints whose code changes while their runs wait: of a step's results, the first counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.remote.conftest import Define, the_run
from tests.remote.programs import Program, invoke, run, sleep, wait
from tests.rest.conftest import Api
from workflows_app.models import Message, Run, Waiter

Work = Callable[[], int]
CHILD = "https://app.example/child"


def publish_result(story: Program, name: str) -> Any:
    """Of the first step, which was of another kind before."""
    step = {"stepId": 1, "stepName": name, "stepType": "Run", "out": "1", "concurrent": 1}
    return story._send("POST", f"/v2/publish/{story.url}", json.dumps(step), story.base("order-7"))


def test_a_step_that_is_published_while_it_waits_leaves_its_event_to_the_next_that_waits(
    program: Define, api: Api, work: Work, clock: Clock
) -> None:
    story = program(wait("approval", "approved"), wait("second", "approved"))
    story.trigger()
    work()

    assert publish_result(story, "approval").status_code == 200
    work()
    (told,) = api.post("/v2/notify/approved", b"yes").json()
    clock.advance("2d")
    work()

    assert story.outs() == {"approval": "1", "second": "eWVz"}
    assert told["workflowRunId"] == "order-7"
    assert the_run().status == Run.Status.SUCCEEDED
    assert not Message.objects.exists()


@pytest.mark.parametrize("meanwhile", ["published", "waits"])
def test_a_step_has_one_result_though_the_run_that_it_invoked_ends_later(
    program: Define, api: Api, work: Work, clock: Clock, meanwhile: str
) -> None:
    story = program(invoke("ask", CHILD), sleep("nap", "2h"))
    program(sleep("inner", "1h"), url=CHILD, returns='"child"')
    story.trigger()
    work()

    if meanwhile == "published":
        publish_result(story, "ask")
    else:
        said = {"stepId": 1, "stepName": "ask", "stepType": "Wait", "concurrent": 1}
        story._send("POST", "/v2/wait/told", json.dumps({"step": said}), story.base("order-7"))
    work()
    clock.advance("1h")
    work()

    out = story.outs()["ask"]
    assert (out == "1") is (meanwhile == "published")
    assert not Waiter.objects.exists()
    assert api.post("/v2/notify/told").json() == []
    clock.advance("2h")
    work()
    assert the_run().status == Run.Status.SUCCEEDED
    assert not Message.objects.exists()


def test_a_step_that_has_its_result_invokes_no_run(program: Define, work: Work) -> None:
    story = program(run("ask", 1), sleep("nap", "1h"))
    story.trigger()
    work()
    step = {"stepId": 1, "stepName": "ask", "stepType": "Invoke", "concurrent": 1}
    envelope = {"workflowRunId": "order-7", "step": step}
    headers = {**story.base("child"), "Upstash-Workflow-Invoke": "true"}

    answer = story._send("POST", f"/v2/publish/{CHILD}", json.dumps(envelope), headers)

    assert answer.json()["deduplicated"] is True
    assert not Run.objects.filter(url=CHILD).exists()
