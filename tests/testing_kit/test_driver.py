"""Runs are worked on in the test's own thread, and time moves by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.shells import Define
from workflows_app import FlowControlSpec, NotifiedRun, Workflow, notify
from workflows_app.engine import clock as engine_clock
from workflows_app.engine import ports
from workflows_app.engine.flow_control import pause
from workflows_app.errors import Refused, RunNotFound, UnknownWorkflow
from workflows_app.models import FlowControl
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


async def sleeper(context: Any) -> str:
    await context.run("before", lambda: 1)
    await context.sleep("a-week", "7d")
    return str(await context.run("after", lambda: "woken"))


def test_a_run_that_waits_for_nothing_has_ended_when_start_returns(
    define: Define, flows: WorkflowTest
):
    @define()
    async def story(context: Any) -> Any:
        return await context.run("double", lambda: context.request_payload * 2)

    run = flows.start(story, 21)

    assert (run.status, run.result, run.error) == ("succeeded", 42, None)
    run.assert_steps("double")


def test_a_workflow_may_be_named_and_takes_the_options_of_a_trigger(
    define: Define, flows: WorkflowTest
):
    @define("named")
    async def story(context: Any) -> Any:
        return [context.workflow_run_id, list(context.labels)]

    run = flows.start("named", workflow_run_id="first", labels="blue")

    assert run.result == ["first", ["blue"]]
    assert run == flows.run("first")
    assert run.workflow == "named"


def test_a_workflow_that_is_not_registered_is_refused_by_name(flows: WorkflowTest):
    with pytest.raises(UnknownWorkflow, match='"nowhere"'):
        flows.start("nowhere")


def test_time_stands_still_until_it_is_moved(define: Define, flows: WorkflowTest):
    run = flows.start(define()(sleeper))
    before = flows.now
    time.sleep(0.01)

    assert flows.now == before
    assert run.status == "running"
    assert run.waits_for == ["a-week"]

    assert flows.advance("6d23h") == before + timedelta(days=6, hours=23)
    assert run.status == "running"

    flows.advance(timedelta(hours=1))
    assert run.result == "woken"
    run.assert_steps("before", "a-week", "after")


def test_a_test_may_begin_at_a_moment_of_its_choice(db: None):
    with WorkflowTest(now="2030-01-02T12:00:00Z") as flows:
        assert flows.now == NOON


def test_what_falls_due_on_the_way_is_worked_on_at_its_own_moment(
    define: Define, flows: WorkflowTest
):
    begun = flows.now
    woken: list[tuple[str, timedelta]] = []

    def note(name: str) -> None:
        woken.append((name, flows.now - begun))

    @define()
    async def story(context: Any) -> None:
        name = context.request_payload
        for hours in (2, 3) if name == "one" else (1, 3):
            await context.sleep(f"{hours}h", timedelta(hours=hours))
            await context.run("wake", note, name)

    flows.start(story, "one")
    flows.start(story, "other")
    flows.advance("1d")

    assert woken == [
        ("other", timedelta(hours=1)),
        ("one", timedelta(hours=2)),
        ("other", timedelta(hours=4)),
        ("one", timedelta(hours=5)),
    ]
    assert flows.now == begun + timedelta(days=1)


def test_time_can_be_moved_to_the_end_of_a_run(define: Define, flows: WorkflowTest):
    begun = flows.now
    run = flows.start(define()(sleeper))

    flows.advance_to_end(run)

    assert run.result == "woken"
    assert flows.now == begun + timedelta(days=7)


def test_a_run_that_time_does_not_end_is_told(define: Define, flows: WorkflowTest):
    @define(flow_control=FlowControlSpec(key="shop", parallelism=1))
    async def story(context: Any) -> None:
        await context.sleep("nap", "1h")

    run = flows.start(story)
    pause(FlowControl.objects.get(key="shop"))

    with pytest.raises(AssertionError, match="no passing of time ends it"):
        flows.advance_to_end(run)


def test_so_is_a_run_that_goes_on_for_ever(
    define: Define, flows: WorkflowTest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workflows_app.testing.driver.MOST_DELIVERIES", 20)

    @define()
    async def story(context: Any) -> None:
        await context.sleep("a-day", "1d")
        await context.continue_as_new()

    run = flows.start(story)

    with pytest.raises(
        AssertionError, match=r'no passing of time ends it: .*waits for step "a-day"'
    ):
        flows.advance_to_end(run)


def test_a_paused_run_is_not_worked_on_until_it_is_resumed(define: Define, flows: WorkflowTest):
    run = flows.start(define("sleeper")(sleeper))
    flows.advance("1d")
    flows.pause(run)
    flows.advance("30d")

    assert run.status == "running"
    with pytest.raises(AssertionError, match=r"no passing of time ends it: .* is paused"):
        flows.advance_to_end(run)
    resumed_at = flows.now
    flows.resume(run)
    assert flows.advance_to_end(run) - resumed_at == timedelta(days=6)
    assert run.result == "woken"


def test_a_delayed_run_waits_for_its_start(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> str:
        return "begun"

    run = flows.start(story, delay="10m")
    assert [wait.kind for wait in run.waits] == ["start"]
    assert "waits for its start until" in repr(run)

    flows.advance("10m")
    assert run.result == "begun"


def test_runs_that_other_code_starts_are_found_and_worked_on(define: Define, flows: WorkflowTest):
    @define("one")
    async def one(context: Any) -> Any:
        return context.request_payload

    @define("other")
    async def other(context: Any) -> None: ...

    one.trigger_many([1, 2])
    other.trigger()
    flows.work()

    assert [run.result for run in flows.runs(one)] == [1, 2]
    assert [run.workflow for run in flows.runs()] == ["one", "one", "other"]
    with pytest.raises(RunNotFound, match='"elsewhere"'):
        flows.run("elsewhere")


def test_an_event_wakes_the_run_that_waits_for_it(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> Any:
        approval = await context.wait_for_event("approval", "approved", timeout="2d")
        return "too late" if approval.timeout else approval.event_data

    approved, forgotten = flows.start(story), flows.start(story)
    (wait,) = approved.waits
    assert (wait.step, wait.kind, wait.event_id) == ("approval", "wait", "approved")
    assert wait.until == flows.now + timedelta(days=2)

    (told,) = flows.notify("approved", {"by": "Ann"}, run=approved)
    flows.advance("2d")

    assert isinstance(told, NotifiedRun)
    assert told.step == "approval"
    assert approved.result == {"by": "Ann"}
    assert forgotten.result == "too late"


def test_an_event_for_all_wakes_all_and_one_for_nobody_is_lost(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> Any:
        return (await context.wait_for_event("wait", "go")).event_data

    assert flows.notify("go", "too early") == []
    runs = [flows.start(story), flows.start(story)]

    assert len(flows.notify("go", 1)) == 2
    assert [run.result for run in runs] == [1, 1]


def test_runs_that_a_run_invokes_are_worked_on_too(define: Define, flows: WorkflowTest):
    @define("child")
    async def child(context: Any) -> Any:
        await context.sleep("nap", "1h")
        return context.request_payload + 1

    @define("parent")
    async def parent(context: Any) -> Any:
        return (await context.invoke("ask-child", workflow=child, body=1)).body

    run = flows.start(parent)
    assert run.waits_for == ["ask-child"]
    assert run.invoked("ask-child").waits_for == ["nap"]

    flows.advance("1h")
    assert run.result == 2
    assert run.invoked("ask-child").result == 2


def test_a_failure_function_is_called(define: Define, flows: WorkflowTest):
    told: list[str] = []

    @define(retries=0)
    async def story(context: Any) -> None:
        raise ValueError("no")

    story.on_failure(lambda failure: told.append(failure.error_message))
    run = flows.start(story)

    assert run.status == "failed"
    assert told == ["no"]


def test_a_step_may_send_events_through_the_driver(define: Define, flows: WorkflowTest):
    @define("waiting")
    async def waiting(context: Any) -> Any:
        return (await context.wait_for_event("wait", "go")).event_data

    @define("sending")
    async def sending(context: Any) -> None:
        await context.run("send", lambda: len(flows.notify("go", 1)))

    run = flows.start(waiting)
    flows.start(sending).assert_step("send", result=1)

    assert run.result == 1


def test_a_step_may_take_its_time(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> None:
        await context.run("slow", lambda: str(flows.advance("1m")))

    begun = flows.now
    run = flows.start(story)

    assert run.step("slow").ended_at == begun + timedelta(minutes=1)
    assert run.status == "succeeded"


def test_runs_that_start_each_other_for_ever_are_told(
    define: Define, flows: WorkflowTest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workflows_app.testing.driver.MOST_DELIVERIES", 20)

    @define()
    async def story(context: Any) -> None:
        await context.run("again", lambda: story.trigger().workflow_run_id)

    with pytest.raises(AssertionError, match="20 deliveries were made at one moment"):
        flows.start(story)


# -- the block


def test_clock_and_transport_are_as_before_when_the_block_ends(db: None):
    before = ports.get_transport()

    with WorkflowTest(now=NOON) as flows:
        flows.advance("1d")
        assert ports.get_transport() is not before

    assert ports.get_transport() is before
    assert abs(engine_clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_error_in_the_block_leaves_nothing_behind_and_is_passed_on(db: None):
    before = ports.get_transport()

    with pytest.raises(LookupError, match="mine"), WorkflowTest(now=NOON) as flows:
        flows.crash_after("never")
        raise LookupError("mine")

    assert ports.get_transport() is before
    assert engine_clock.now() != NOON


def test_a_block_inside_another_has_scripts_of_its_own_and_begins_at_the_others_time(
    define: Define, flows: WorkflowTest
):
    @define()
    async def story(context: Any) -> Any:
        return await context.run("answer", lambda: "real")

    flows.mock_step("answer", returns="mocked")
    begun = flows.now

    with WorkflowTest() as inner:
        assert inner.now == begun
        assert inner.start(story).result == "real"
        inner.advance("1d")

    assert flows.now == begun
    assert flows.start(story).result == "mocked"


def test_one_driver_is_used_by_one_block_at_a_time(db: None):
    with (
        WorkflowTest() as flows,
        pytest.raises(Refused, match="make another"),
        flows,
    ):
        pass


@pytest.mark.parametrize(
    "act",
    [
        lambda flows, _: flows.work(),
        lambda flows, _: flows.advance("1d"),
        lambda flows, _: flows.notify("go"),
        lambda flows, workflow: flows.start(workflow),
    ],
    ids=["work", "advance", "notify", "start"],
)
def test_outside_of_its_block_a_driver_refuses_to_work(
    define: Define, act: Callable[[WorkflowTest, Workflow], object], db: None
):
    with WorkflowTest() as flows:
        pass

    with pytest.raises(Refused, match="inside the block"):
        act(flows, define()(sleeper))


def test_events_sent_by_code_under_test_are_worked_on_by_the_next_work(
    define: Define, flows: WorkflowTest
):
    @define()
    async def story(context: Any) -> Any:
        return (await context.wait_for_event("wait", "go")).event_data

    run = flows.start(story)
    notify("go", 1)
    assert run.status == "running"

    flows.work()
    assert run.result == 1
