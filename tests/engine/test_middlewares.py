"""Middlewares of runs on a real database: over both transports, and when processes die."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from pytest_django import Settings

from tests.conftest import Clock
from tests.rest.test_serve import over_http
from tests.shells import Define
from tests.traces import Trace
from workflows_app import Callbacks, Middleware
from workflows_app.engine import dead_letters
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Message
from workflows_app.testing import WorkflowTest

__all__ = ["over_http"]

pytestmark = pytest.mark.django_db(transaction=True)

everything = Trace(name="project: ")
of_the_project = everything.middleware


@pytest.fixture
def trace() -> Trace:
    return Trace()


@pytest.fixture(params=["local", "http"])
def transport(request: pytest.FixtureRequest, over_http: Any) -> str:
    return str(request.param)


def test_a_run_is_told_over_both_transports_alike(
    define: Define, trace: Trace, transport: str
) -> None:
    attempts: list[int] = []

    def work() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("not yet")
        return 7

    @define(middlewares=[trace.middleware], transport=transport, retries=1, retry_delay="1")
    async def story(context: Any) -> Any:
        async def wait() -> Any:
            return (await context.wait_for_event("approval", "approved")).event_data

        async def nap() -> None:
            await context.sleep("nap", "1h")

        await context.run("work", work)
        return await context.parallel(wait, nap)

    with WorkflowTest() as test:
        run = test.start(story)
        test.advance("5m")
        test.notify("approved", "yes")
        test.advance("1h")

    assert run.result == ["yes", None]
    assert trace.lines[:5] == [
        f"story {run.workflow_run_id} started",
        "before work 1",
        "work 1 failed for now: ValueError",
        "before work 2",
        "after work 2: 7",
    ]
    assert sorted(trace.lines[5:7]) == ["before approval@1 1", "before nap@2 1"]
    assert trace.lines[7:] == [
        "after approval@1 1: EventResult(event_data='yes', timeout=False)",
        "after nap@2 1: None",
        "completed: ['yes', None]",
    ]


def test_a_run_that_is_woken_early_is_told_nothing_again(
    define: Define, trace: Trace, clock: Clock
) -> None:
    @define(middlewares=[trace.middleware])
    async def story(context: Any) -> Any:
        await context.wait_for_event("approval", "approved")

    story.trigger(workflow_run_id="wfr_1")
    drain_here()
    for _ in range(3):
        Message.objects.filter(kind=Message.Kind.TURN).update(due_at=clock.now)
        drain_here()

    assert trace.lines == ["story wfr_1 started", "before approval 1"]


def test_a_process_that_dies_tells_again_what_was_not_stored(define: Define, trace: Trace) -> None:
    @define(middlewares=[trace.middleware])
    async def story(context: Any) -> Any:
        await context.run("one", lambda: 1)
        await context.run("two", lambda: 2)
        await context.run("three", lambda: 3)

    with WorkflowTest() as test:
        test.crash_before_storing("one")
        test.crash_after("two")
        test.start(story, workflow_run_id="wfr_1")

    assert trace.lines == [
        "story wfr_1 started",
        "before one 1",
        "story wfr_1 started",
        "before one 1",
        "after one 1: 1",
        "before two 1",
        "before three 1",
        "after three 1: 3",
        "completed: None",
    ]


def test_a_resumed_run_goes_on_where_the_failed_one_was(define: Define, trace: Trace) -> None:
    is_open: list[bool] = []

    def sell() -> str:
        if not is_open:
            raise ConnectionError("the shop is closed")
        return "sold"

    @define(middlewares=[trace.middleware], retries=0)
    async def story(context: Any) -> Any:
        await context.run("unlock", lambda: 1)
        await context.run("sell", sell)

    story.trigger(workflow_run_id="wfr_1")
    drain_here()
    trace.lines.clear()
    is_open.append(True)
    dead_letters.resume(DeadLetter.objects.get())
    drain_here()

    assert trace.lines == ["before sell 1", "after sell 1: 'sold'", "completed: None"]


def test_a_run_that_begins_anew_starts_again(define: Define, trace: Trace) -> None:
    @define(middlewares=[trace.middleware])
    async def story(context: Any) -> Any:
        await context.sleep("nap", "1h")
        if context.request_payload != "again":
            await context.continue_as_new("again")

    with WorkflowTest() as test:
        test.start(story, workflow_run_id="wfr_1")
        test.advance("2h")

    once = ["story wfr_1 started", "before nap 1", "after nap 1: None"]
    assert trace.lines == [*once, *once, "completed: None"]


def test_those_that_the_settings_name_are_told_first(
    define: Define, trace: Trace, settings: Settings
) -> None:
    settings.WORKFLOWS = {"MIDDLEWARES": [f"{__name__}.of_the_project"]}
    everything.lines = trace.lines

    @define(middlewares=[trace.middleware])
    async def story(context: Any) -> Any:
        return None

    story.trigger(workflow_run_id="wfr_1")
    drain_here()

    assert trace.lines == [
        "project: story wfr_1 started",
        "story wfr_1 started",
        "project: completed: None",
        "completed: None",
    ]


def test_plain_callbacks_may_use_the_database(define: Define) -> None:
    middleware = Middleware(
        "groups",
        callbacks=Callbacks(
            run_started=lambda moment: Group.objects.create(name="started"),
            before_execution=lambda moment: Group.objects.create(name=f"before {moment.key}"),
            after_execution=lambda moment: Group.objects.create(name=f"after {moment.key}"),
        ),
    )

    @define(middlewares=[middleware])
    async def story(context: Any) -> Any:
        await context.run("work", lambda: 1)
        await context.sleep("nap", "1h")

    story.trigger()
    drain_here()

    names = list(Group.objects.order_by("id").values_list("name", flat=True))
    assert names == ["started", "before work", "after work", "before nap"]


def test_a_run_without_middlewares_keeps_nothing_for_them(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.sleep("nap", "1h")

    story.trigger()
    drain_here()

    assert Message.objects.get().request == ""
