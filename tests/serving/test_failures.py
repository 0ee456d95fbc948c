"""Steps and runs that fail over the protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.cloud import Cloud
from tests.serving.conftest import ServeStory
from workflows_app import (
    Failure,
    StepError,
    WorkflowNonRetryableError,
    WorkflowRetryAfterError,
)
from workflows_app.errors import Refused


def last(cloud: Cloud) -> tuple[int, dict[str, Any]]:
    answer = cloud.answers[-1]
    return answer.status_code, json.loads(answer.content)


def test_a_step_that_raises_is_tried_again_by_the_server(serve_story: ServeStory, cloud: Cloud):
    attempts: list[int] = []

    async def story(context: Any) -> Any:
        def flaky() -> int:
            attempts.append(context.attempt)
            if len(attempts) < 3:
                raise ValueError("not yet")
            return len(attempts)

        return await context.run("flaky", flaky)

    cloud.retries = 3
    run = serve_story(story).run()

    assert run.result == 3
    assert attempts == [1, 2, 3]
    refused = [answer for answer in cloud.answers if answer.status_code == 500]
    assert len(refused) == 2
    said = json.loads(refused[0].content)
    assert (said["error"], said["message"], said["step"]) == ("ValueError", "not yet", "flaky")
    assert refused[0]["Upstash-Error-Step-Name"] == "flaky"
    assert "Retry-After" not in refused[0]


def test_a_run_fails_when_the_retries_of_its_workflow_are_used_up(
    serve_story: ServeStory, cloud: Cloud
):
    async def story(context: Any) -> Any:
        await context.run("breaks", int, "no number")

    cloud.retries = 10
    run = serve_story(story, {"retries": 1}).run()

    assert run.status == "failed"
    status, said = last(cloud)
    assert (status, said["step"]) == (489, "breaks")
    assert said["message"].startswith('step "breaks" failed after 2 attempts: ValueError')
    assert cloud.answers[-1]["Upstash-NonRetryable-Error"] == "true"
    assert run.results == [], "so that a resumed run does the step again"


def test_the_failure_of_a_step_can_be_handled_and_is_remembered(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        undone = None
        try:
            await context.run("breaks", int, "no number")
        except StepError as error:
            undone = await context.run("undo", str, error.error_type)
        return [undone, await context.run("after", lambda: "went on")]

    run = serve_story(story, {"retries": 0}).run()

    assert run.result == ["ValueError", "went on"]
    assert run.results == ["breaks", "undo", "after"]


@pytest.mark.parametrize("place", ["step", "function"])
def test_what_must_not_be_tried_again_is_not(serve_story: ServeStory, cloud: Cloud, place: str):
    async def story(context: Any) -> Any:
        def final() -> None:
            raise WorkflowNonRetryableError("never again")

        await context.run("before", lambda: None)
        if place == "function":
            final()
        await context.run("final", final)

    cloud.retries = 3
    run = serve_story(story).run()

    assert run.status == "failed"
    assert [answer.status_code for answer in cloud.answers] == [200, 489]
    assert "never again" in run.error["message"]


def test_a_step_says_when_it_is_to_be_tried_again(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        def busy() -> str:
            if context.attempt == 1:
                raise WorkflowRetryAfterError("busy", "90s")
            if context.attempt == 2:
                raise ValueError("broken")
            return "done"

        return await context.options(retry_delay="retried * 5000").run("busy", busy)

    cloud.retries = 3
    run = serve_story(story).run()

    assert run.result == "done"
    asked = [answer for answer in cloud.answers if answer.status_code == 429]
    assert [answer["Retry-After"] for answer in asked] == ["90", "5"]


def test_an_error_between_steps_is_tried_again_too(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        number = await context.run("draw", lambda: 4)
        if context.attempt == 1:
            raise RuntimeError("a mistake between two steps")
        return number

    cloud.retries = 1
    run = serve_story(story).run()

    assert run.result == 4
    assert [answer.status_code for answer in cloud.answers] == [200, 500, 200]


def test_changed_code_fails_the_run_with_what_was_recorded(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        await context.run("renamed" if cloud.answers else "first", lambda: 1)

    run = serve_story(story).run()

    assert run.status == "failed"
    assert run.error["error"] == "IncompatibleHistory"
    assert 'run step "first" where the code of workflow "story" now asks' in run.error["message"]


def test_changed_code_fails_the_run_whose_plans_it_does_not_know(
    serve_story: ServeStory, cloud: Cloud
):
    async def story(context: Any) -> Any:
        name = "renamed" if cloud.answers else "first"
        await context.parallel(
            lambda: context.run(name, lambda: 1), lambda: context.run("other", lambda: 2)
        )

    run = serve_story(story).run()

    assert run.error["error"] == "IncompatibleHistory"
    assert (
        'has announced step "first@1" where the code now asks for step "renamed@1"'
        in (run.error["message"])
    )


def test_a_function_that_asks_for_other_steps_each_time_fails(
    serve_story: ServeStory, cloud: Cloud
):
    times: list[int] = []

    async def story(context: Any) -> Any:
        times.append(1)
        await context.run(f"step-{len(times)}", lambda: 1)

    run = serve_story(story).run()

    assert run.error["error"] == "IncompatibleHistory"


def test_a_result_that_is_no_json_fails_the_run(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        await context.run("find", lambda: {1, 2})

    run = serve_story(story).run()

    assert run.status == "failed"
    assert 'the result of step "find" cannot be stored' in run.error["message"]


@pytest.mark.parametrize("form", ["plain", "async"])
def test_the_failure_function_is_called_once_a_run_has_failed(
    serve_story: ServeStory, cloud: Cloud, form: str
):
    told: list[Failure] = []

    def tell(failure: Failure) -> str:
        told.append(failure)
        return "taken care of"

    async def tell_async(failure: Failure) -> str:
        return tell(failure)

    async def story(context: Any) -> Any:
        await context.run("breaks", int, "no number")

    function = tell if form == "plain" else tell_async
    site = serve_story(story, {"retries": 0}, failure_function=function)
    site.cloud.post_signed("http://testserver/story", b'{"n":1}', {"x-user": "ada"})
    site.cloud.deliver_all()

    (failure,) = told
    assert failure.request_payload == {"n": 1}
    assert failure.headers["X-User"] == "ada"
    assert (failure.error_type, failure.step, failure.attempt) == ("StepError", "breaks", 1)
    assert failure.error_message.startswith('step "breaks" failed after 1 attempt: ValueError')
    assert last(cloud) == (200, {"result": '"taken care of"'})


def test_without_a_failure_function_the_server_is_told_so(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        await context.run("breaks", int, "no number")

    serve_story(story, {"retries": 0}).run(
        **{
            "upstash-failure-callback": "http://testserver/story",
            "upstash-failure-callback-forward-upstash-workflow-is-failure": "true",
        }
    )

    assert cloud.answers[-1].status_code == 200
    assert cloud.answers[-1]["Upstash-Workflow-Failure-Callback-Notfound"] == "true"


def test_what_is_published_for_a_run_that_has_ended_is_dropped(
    serve_story: ServeStory, cloud: Cloud
):
    async def story(context: Any) -> Any:
        await context.run("first", lambda: cloud._end("wfr_1", "canceled", None))

    serve_story(story).run()

    assert last(cloud) == (
        200,
        {"workflowRunId": "wfr_1", "finishCondition": "workflow-was-finished"},
    )


def test_what_the_server_will_never_take_fails_the_run(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        await context.sleep("too long", "10000d")

    cloud.refuses = lambda path: Refused("a step can be delayed by at most 365d")
    serve_story(story).trigger()
    response = cloud.deliver(cloud.owed[0])

    assert response.status_code == 489
    assert json.loads(response.content)["message"] == "a step can be delayed by at most 365d"
