"""`context.continue_as_new`: a run ends, and begins anew under its id."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, only_run, owed_to, result_of
from tests.roads import Road, road
from tests.shells import Define
from workflows_app import FlowControlSpec, InlineRun, Workflow
from workflows_app.engine import dead_letters, delivery, events, leases, retention, run_moves
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Event, Invocation, Message, Run, Waiter

__all__ = ["road"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def standing_clock(clock: Clock) -> Clock:
    return clock


@pytest.fixture
def countdown(define: Define) -> Workflow:
    """Begins anew until its payload is 0."""

    @define("countdown", retries=0)
    async def countdown(context: Any) -> Any:
        left = await context.run("read", lambda: context.request_payload)
        if left == 0:
            return "lift-off"
        await context.continue_as_new(left - 1)
        raise AssertionError("it does not return")

    return countdown


def chain(run_id: str = "launch") -> list[Run]:
    return list(Run.objects.filter(run_id=run_id).order_by("pk"))


@pytest.mark.django_db(transaction=True)
def test_a_run_begins_anew_with_the_payload_under_its_id(road: Road, countdown: Workflow) -> None:
    countdown.trigger(2, workflow_run_id="launch")
    drain_here()

    first, second, last = chain()
    assert [json.loads(bytes(run.payload)) for run in (first, second, last)] == [2, 1, 0]
    assert [journal_of(run) for run in (first, second, last)] == [
        {"read": 2},
        {"read": 1},
        {"read": 0},
    ]
    assert (second.origin, last.origin) == (first, second)
    assert (first.status, first.result) == ("succeeded", None)
    assert result_of(last) == "lift-off"
    assert not Message.objects.exists()


def test_its_id_always_has_a_live_run(countdown: Workflow) -> None:
    countdown.trigger(2, workflow_run_id="launch")

    (lease,) = leases.claim(1)
    delivery.deliver(lease)

    old, new = chain()
    assert (old.is_live, old.live_id, new.is_live, new.live_id) == (False, None, True, "launch")
    assert run_moves.find_run(new.account, "launch") == new
    assert countdown.trigger(7, workflow_run_id="launch").deduplicated


def test_nothing_of_it_is_stored_by_a_worker_that_has_lost_its_lease(
    countdown: Workflow, clock: Clock
) -> None:
    countdown.trigger(1, workflow_run_id="launch")
    (lost,) = leases.claim(1)
    clock.advance("1h")
    (lease,) = leases.claim(1)

    delivery.deliver(lost)

    assert [run.is_live for run in chain()] == [True]
    assert owed_to(only_run())[0][0] == "turn"
    delivery.deliver(lease)
    assert [run.is_live for run in chain()] == [False, True]


def test_what_the_run_was_started_with_carries_over(define: Define, clock: Clock) -> None:
    @define()
    async def story(context: Any) -> Any:
        if context.request_payload == "again":
            return [dict(context.headers), list(context.labels)]
        return await context.continue_as_new("again")

    story.trigger(
        "first",
        workflow_run_id="launch",
        headers={"X-Tenant": "north"},
        labels=["vip", "night"],
        retries=7,
        retry_delay="1000",
        timeout="1m",
        failure_url="https://peer.example/failed",
        redact="header[X-Tenant]",
        flow_control=FlowControlSpec(key="pads", parallelism=1),
    )
    drain_here()

    old, new = chain()
    same = (
        "workflow",
        "url",
        "headers",
        "labels",
        "retries",
        "retry_delay",
        "timeout",
        "failure_url",
        "redaction",
        "flow_control",
    )
    assert {name: getattr(new, name) for name in same} == {
        name: getattr(old, name) for name in same
    }
    assert result_of(new) == [{"X-Tenant": "north"}, ["vip", "night"]]
    assert list(Run.objects.labelled(["vip"]).order_by("pk")) == [old, new]


def test_no_two_runs_of_an_id_share_an_idempotency_key(define: Define) -> None:
    """Though no time has passed between them."""

    @define()
    async def story(context: Any) -> Any:
        keys = [*(context.request_payload or []), context.idempotency_key]
        if len(keys) == 3:
            return keys
        return await context.continue_as_new(keys)

    story.trigger(workflow_run_id="launch")
    drain_here()

    assert len(set(result_of(chain()[-1]))) == 3


def test_a_payload_of_bytes_stays_as_it_is(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        if context.request_payload == "text":
            await context.continue_as_new(b"\xff")
        return context.request_payload.hex()

    story.trigger("text", workflow_run_id="launch")
    drain_here()

    assert result_of(chain()[-1]) == "ff"


def test_a_payload_that_is_too_large_fails_the_run(define: Define, settings: Settings) -> None:
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10}

    @define()
    async def story(context: Any) -> Any:
        await context.continue_as_new("more than ten")

    story.trigger()
    drain_here()

    assert error_of(only_run()) == (
        "PayloadTooLarge",
        "the payload to continue with has 15 bytes; this server accepts 10",
    )


def test_a_payload_that_is_no_json_fails_the_run(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.continue_as_new({1, 2})

    story.trigger()
    drain_here()

    assert error_of(only_run())[0] == "NotSerializable"


# -- from a branch


def test_a_branch_may_begin_the_run_anew_whatever_the_others_wait_for(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        if context.request_payload == "again":
            return "done"

        async def renew() -> Any:
            await context.run("work", lambda: None)
            await context.continue_as_new("again")

        return await context.parallel(
            renew,
            lambda: context.wait_for_event("wait", "never"),
            lambda: context.sleep("nap", "1h"),
        )

    story.trigger(workflow_run_id="launch")
    drain_here()

    assert result_of(chain()[-1]) == "done"
    assert not Waiter.objects.exists()
    assert not Message.objects.exists()


def test_a_run_that_has_recorded_more_does_not_begin_anew(define: Define, clock: Clock) -> None:
    @define(retries=0)
    async def before(context: Any) -> Any:
        await context.run("work", lambda: None)
        await context.sleep("nap", "1h")

    before.trigger()
    drain_here()

    @define(retries=0)
    async def after(context: Any) -> Any:
        await context.run("work", lambda: None)
        await context.continue_as_new()

    clock.advance("1h")
    drain_here()

    kind, sentence = error_of(only_run())
    assert kind == "IncompatibleHistory"
    assert 'has recorded step "nap", but the function ended without asking for it' in sentence


# -- what comes from outside


@pytest.fixture
def sorter(define: Define) -> Workflow:
    """Takes a letter, and begins anew with all that it has; "stop" ends it."""

    @define("sorter")
    async def sorter(context: Any) -> Any:
        letter = await context.wait_for_event("letter", "letter")
        if letter.event_data == "stop":
            return context.request_payload
        return await context.continue_as_new([*context.request_payload, letter.event_data])

    return sorter


@pytest.mark.django_db(transaction=True)
def test_events_that_came_early_wait_for_the_new_run(road: Road, sorter: Workflow) -> None:
    sorter.trigger([], workflow_run_id="launch")
    for letter in ("a", "b", "stop"):
        workflows_app.notify("letter", letter, "launch")
    assert Event.objects.count() == 3

    drain_here()

    assert result_of(chain()[-1]) == ["a", "b"]
    assert not Event.objects.exists()


def test_an_event_for_a_run_that_has_begun_anew_meanwhile_reaches_the_new_one(
    sorter: Workflow,
) -> None:
    sorter.trigger([], workflow_run_id="launch")
    drain_here()
    read_before = only_run()
    workflows_app.notify("letter", "a", "launch")
    drain_here()

    notified = events.notify_run(read_before, "letter", b'"stop"')
    drain_here()

    assert notified is not None
    assert notified.run == chain()[-1]
    assert result_of(chain()[-1]) == ["a"]


def test_cancelling_a_run_that_has_begun_anew_meanwhile_cancels_the_new_one(
    sorter: Workflow,
) -> None:
    sorter.trigger([], workflow_run_id="launch")
    drain_here()
    read_before = only_run()
    workflows_app.notify("letter", "a", "launch")
    drain_here()

    run_moves.cancel(read_before)

    assert [run.status for run in chain()] == ["succeeded", "canceled"]


def test_a_run_that_had_ended_before_is_not_cancelled_in_the_place_of_the_new_one(
    sorter: Workflow,
) -> None:
    sorter.trigger([], workflow_run_id="launch")
    workflows_app.notify("letter", "a", "launch")
    drain_here()

    with pytest.raises(workflows_app.WorkflowsError, match="has ended already"):
        run_moves.cancel(chain()[0])

    assert chain()[-1].is_live


def test_who_invoked_it_gets_the_result_of_the_last(define: Define, countdown: Workflow) -> None:
    @define("control")
    async def control(context: Any) -> Any:
        launch = await context.invoke("launch", workflow="countdown", body=2)
        return launch.body

    control.trigger()
    drain_here()

    assert result_of(Run.objects.get(workflow="control")) == "lift-off"
    last = Run.objects.filter(workflow="countdown").latest("pk")
    assert Invocation.objects.get().child == last


def test_who_invokes_it_while_it_begins_anew_waits_for_the_last(
    define: Define, sorter: Workflow
) -> None:
    @define("control")
    async def control(context: Any) -> Any:
        sorted_out = await context.invoke(
            "sort", workflow="sorter", body=[], workflow_run_id="launch"
        )
        return sorted_out.body

    sorter.trigger([], workflow_run_id="launch")
    drain_here()
    control.trigger()
    drain_here()
    for letter in ("a", "stop"):
        workflows_app.notify("letter", letter, "launch")
        drain_here()

    assert result_of(Run.objects.get(workflow="control")) == ["a"]


# -- how it is told


def test_an_inline_run_that_begins_anew_is_left_to_workers(countdown: Workflow) -> None:
    assert countdown.run(1, workflow_run_id="launch") == InlineRun(
        workflow_run_id="launch", status="running", result=None
    )

    drain_here()

    assert result_of(chain()[-1]) == "lift-off"


def test_a_new_run_that_fails_is_restarted_with_its_own_payload(define: Define) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        if context.request_payload == "first":
            await context.continue_as_new("second")
        raise ValueError(context.request_payload)

    story.trigger("first", workflow_run_id="launch")
    drain_here()
    restarted = dead_letters.restart(DeadLetter.objects.get())

    assert json.loads(bytes(restarted.payload)) == "second"
    assert restarted.origin == chain()[-1]
    assert continuation_of(chain()[-1]) is None, "a restarted run has an id of its own"


def test_those_that_have_ended_long_ago_are_pruned_though_the_last_is_live(
    sorter: Workflow, clock: Clock
) -> None:
    sorter.trigger([], workflow_run_id="launch")
    for letter in ("a", "b"):
        workflows_app.notify("letter", letter, "launch")
    drain_here()
    clock.advance("30d")

    assert retention.prune(timedelta(days=7)) == 2

    (live,) = chain()
    assert live.is_live
    assert live.origin is None
