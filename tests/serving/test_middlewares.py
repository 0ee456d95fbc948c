"""Middlewares of workflows that are served."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.cloud import Cloud
from tests.serving.conftest import ServeStory
from tests.traces import Trace
from workflows_app import StepError
from workflows_app.errors import InvalidInput


@pytest.mark.parametrize("place", ["workflow", "view"])
@pytest.mark.parametrize("callbacks", ["plain", "async"])
def test_middlewares_are_told_each_moment_of_a_run_once(
    serve_story: ServeStory, cloud: Cloud, place: str, callbacks: str
):
    async def story(context: Any) -> Any:
        await context.run("first", lambda: 1)
        await context.parallel(
            lambda: context.run("left", lambda: 2), lambda: context.sleep("nap", "1s")
        )
        await context.call("ask", url="https://bank.example/")
        return (await context.wait_for_event("wait", "news")).event_data

    trace = Trace(is_async=callbacks == "async")
    given: dict[str, Any] = {"middlewares": [trace.middleware]}
    site = serve_story(story, given) if place == "workflow" else serve_story(story, **given)
    run = site.run()
    cloud._notify(["news"], b"1")
    cloud.deliver_all()

    assert run.result == 1
    answer = "CallResponse(status=200, header={}, body='')"
    event = "EventResult(event_data=1, timeout=False)"
    assert trace.lines == [
        "story wfr_1 started",
        "before first 1",
        "after first 1: 1",
        "before nap@2 1",
        "before left@1 1",
        "after left@1 1: 2",
        "after nap@2 1: None",
        "before ask 1",
        f"after ask 1: {answer}",
        "before wait 1",
        f"after wait 1: {event}",
        "completed: 1",
    ]


def test_branches_are_told_once_though_the_function_is_called_again_and_again(
    serve_story: ServeStory,
):
    trace = Trace()

    async def story(context: Any) -> Any:
        async def branch() -> Any:
            await context.run("one", lambda: 1)
            await context.sleep("nap", "1h")
            return (await context.call("ask", url="https://bank.example/")).status

        return await context.parallel(branch, branch)

    run = serve_story(story, middlewares=[trace.middleware]).run()

    assert run.status == "succeeded"
    assert trace.lines[0] == f"story {run.run_id} started"
    assert trace.lines[-1].startswith("completed: ")
    for branch in (1, 2):
        told = [line.split(":")[0] for line in trace.lines if f"@{branch} " in line]
        assert told == [
            f"before one@{branch} 1",
            f"after one@{branch} 1",
            f"before nap@{branch} 1",
            f"after nap@{branch} 1",
            f"before ask@{branch} 1",
            f"after ask@{branch} 1",
        ]
    assert len(trace.lines) == 14


def test_middlewares_are_told_what_fails_and_whether_it_is_tried_again(
    serve_story: ServeStory, cloud: Cloud
):
    async def story(context: Any) -> Any:
        try:
            await context.run("breaks", int, "no number")
        except StepError:
            await context.run("final", int, "no number")

    trace = Trace()
    cloud.retries = 3
    run = serve_story(story, {"retries": 1}, middlewares=[trace.middleware]).run()

    assert run.status == "failed"
    assert trace.lines == [
        "story wfr_1 started",
        "before breaks 1",
        "breaks 1 failed for now: ValueError",
        "before breaks 2",
        "breaks 2 failed for good: ValueError",
        "before final 1",
        "final 1 failed for now: ValueError",
        "before final 2",
        "final 2 failed for good: ValueError",
        "the function 2 failed for good: StepError",
    ]


def test_what_the_function_raises_counts_once_it_fails_by_it(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        await context.run("first", lambda: 1)
        raise RuntimeError("between two steps")

    trace = Trace()
    cloud.retries = 3
    serve_story(story, {"retries": 0}, middlewares=[trace.middleware]).run()

    assert trace.lines == [
        "story wfr_1 started",
        "before first 1",
        "after first 1: 1",
        "the function 1 failed for good: RuntimeError",
    ]


def test_what_is_no_middleware_is_refused(serve_story: ServeStory):
    async def story(context: Any) -> None: ...

    with pytest.raises(InvalidInput, match="must each be a Middleware, not 'trace'"):
        serve_story(story, middlewares=["trace"])
