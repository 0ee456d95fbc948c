"""Runs that begin again under their id, whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

import workflows_app
from tests.conftest import Clock
from tests.engine.reading import journal_of, only_run, owed_to, result_of
from tests.shells import Define
from workflows_app import Context, FlowControlSpec, InlineRun, Workflow, workflow
from workflows_app.engine import delivery, events, leases, pausing, run_moves
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.creating import create
from workflows_app.engine.drain import drain_here
from workflows_app.engine.restarting import restart
from workflows_app.engine.step_targets import StepTarget
from workflows_app.engine.triggering import trigger
from workflows_app.errors import Refused, RunNotFound
from workflows_app.models import (
    Account,
    DeadLetter,
    Event,
    Invocation,
    Message,
    Run,
    RunLabel,
    Waiter,
)
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db

URL = "https://peer.example/flow"


@pytest.fixture(autouse=True)
def standing_clock(clock: Clock) -> Clock:
    return clock


@pytest.fixture
def did() -> list[str]:
    return []


@pytest.fixture
def order(define: Define, did: list[str]) -> Workflow:
    """Ends as its payload says, or waits for an approval."""

    @define("order", retries=0)
    async def order(context: Any) -> Any:
        await context.run("charge", did.append, "charge")
        match context.request_payload:
            case "succeed":
                return "done"
            case "fail":
                raise LookupError("no such street")
            case "cancel":
                await context.cancel()
        return (await context.wait_for_event("approval", "approved")).event_data

    return order


def chain(run_id: str = "order-7") -> list[Run]:
    return list(Run.objects.filter(run_id=run_id).order_by("pk"))


def begin(order: Workflow, payload: str = "wait", **options: Any) -> Run:
    order.trigger(payload, workflow_run_id="order-7", **options)
    drain_here()
    return only_run()


# -- what comes of it


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ("succeed", "succeeded"),
        ("fail", "failed"),
        ("cancel", "canceled"),
        ("wait", "canceled"),
    ],
)
def test_a_run_begins_again_under_its_id_whether_it_has_ended_or_not(
    payload: str, status: str, order: Workflow, did: list[str]
) -> None:
    run = begin(order, payload)

    new = restart(run)

    old, found = chain()
    assert (new.pk, found.origin) == (found.pk, old)
    assert (old.status, old.live_id, found.status, found.live_id) == (
        status,
        None,
        "running",
        "order-7",
    )
    assert [owed_to(old), len(owed_to(found)), journal_of(found)] == [[], 1, {}]
    assert json.loads(bytes(found.payload)) == payload
    drain_here()
    assert did == ["charge", "charge"]


def test_what_the_run_was_started_with_carries_over(
    order: Workflow, account: Account, clock: Clock
) -> None:
    run = begin(
        order,
        headers={"X-Tenant": "north"},
        labels=["vip", "night"],
        retries=7,
        retry_delay="1000",
        timeout="1m",
        failure_url="https://peer.example/failed",
        redact="header[X-Tenant]",
        flow_control=FlowControlSpec(key="orders", parallelism=1),
    )
    Run.objects.filter(pk=run.pk).update(schedule='{"cron":"* * * * *"}', source="schedule")

    restart(run)

    ended = {"id", "status", "live_id", "origin_id", "created_at", "ended_at"}
    old, new = (
        {name: value for name, value in row.items() if name not in ended}
        for row in Run.objects.order_by("pk").values()
    )
    assert new == old
    assert RunLabel.objects.filter(name="vip").count() == 2


def test_no_two_runs_of_an_id_share_an_idempotency_key(define: Define) -> None:
    """Though no time has passed between them."""
    keys: list[str] = []

    @define()
    async def story(context: Any) -> Any:
        keys.append(context.idempotency_key)

    story.trigger()
    drain_here()
    restart(only_run())
    drain_here()

    assert len(set(keys)) == 2


def test_a_failed_run_leaves_the_dead_letter_queue_and_nobody_is_told_of_it_any_more(
    order: Workflow,
) -> None:
    order.trigger("fail", failure_url="https://peer.example/failed")
    (lease,) = leases.claim(1)
    delivery.deliver(lease)
    assert [message.kind for message in Message.objects.all()] == ["failure"]

    restart(only_run())

    assert not DeadLetter.objects.exists()
    assert [message.kind for message in Message.objects.all()] == ["turn"]


def test_a_run_that_is_named_within_its_workflow_stays_so(account: Account) -> None:
    names: dict[str, Any] = {"run_id": "a", "named_within": True, "url": URL}
    first, other = (
        create(account, [RunRequest(workflow=name, **names)]).runs[0] for name in ("one", "two")
    )
    run_moves.cancel(first)
    run_moves.cancel(other)

    assert [restart(first).workflow, restart(other).workflow] == ["one", "two"]
    live = Run.objects.live().order_by("pk").values_list("live_id", flat=True)
    assert list(live) == ["one/a", "two/a"]


def test_a_turn_at_work_on_the_run_writes_nothing_more(order: Workflow, did: list[str]) -> None:
    order.trigger(workflow_run_id="order-7")
    (lease,) = leases.claim(1)
    new = restart(only_run())

    delivery.deliver(lease)

    assert did == ["charge"]
    assert [journal_of(run) for run in chain()] == [{}, {}]
    assert [kind for kind, *_ in owed_to(new)] == ["turn"]


def test_a_paused_run_begins_again_without_its_pause(order: Workflow, did: list[str]) -> None:
    pausing.pause(begin(order))

    new = restart(only_run())
    drain_here()

    assert new.paused_at is None
    assert did == ["charge", "charge"]


# -- what belongs to it


def test_events_that_nothing_has_waited_for_are_dropped(order: Workflow) -> None:
    run = begin(order)
    events.notify_run(run, "rejected", b"1")
    assert (Event.objects.count(), Waiter.objects.count()) == (1, 1)

    restart(run)

    assert (Event.objects.count(), Waiter.objects.count()) == (0, 0)


def test_who_waits_for_its_end_waits_for_that_of_the_new_run(
    define: Define, order: Workflow
) -> None:
    @define("control")
    async def control(context: Any) -> Any:
        return (await context.invoke("order", workflow="order", body="wait")).body

    control.trigger()
    drain_here()
    new = restart(Run.objects.get(workflow="order"))
    drain_here()
    workflows_app.notify("approved", "yes", new.run_id)
    drain_here()

    assert Invocation.objects.get().child == new
    assert result_of(Run.objects.get(workflow="control")) == "yes"


def test_who_has_been_told_of_its_end_hears_no_more_of_it(define: Define, order: Workflow) -> None:
    @define("control")
    async def control(context: Any) -> Any:
        return (await context.invoke("order", workflow="order", body="succeed")).body

    control.trigger()
    drain_here()
    restart(Run.objects.get(workflow="order"))
    drain_here()

    assert result_of(Run.objects.get(workflow="control")) == "done"
    assert Invocation.objects.get().child.origin is None


def test_a_run_that_it_has_invoked_goes_on_and_is_invoked_anew(
    define: Define, order: Workflow
) -> None:
    @define("control")
    async def control(context: Any) -> Any:
        return (await context.invoke("order", workflow="order", body="wait")).body

    control.trigger()
    drain_here()
    (child,) = Run.objects.filter(workflow="order")
    new = restart(Run.objects.get(workflow="control"))
    drain_here()

    first, second = Run.objects.filter(workflow="order").order_by("pk")
    assert (first, first.is_live) == (child, True)
    workflows_app.notify("approved", "mine", second.run_id)
    workflows_app.notify("approved", "no longer", first.run_id)
    drain_here()
    assert result_of(new) == "mine"


# -- who follows a run to what goes on in its place


def test_whoever_has_read_the_run_before_reaches_the_new_one(order: Workflow) -> None:
    read_before = begin(order)
    new = restart(read_before)
    drain_here()

    assert continuation_of(read_before) == new
    assert run_moves.find_run(new.account, "order-7") == new
    notified = events.notify_run(read_before, "rejected", b"1")
    assert notified is not None
    assert notified.run == new
    run_moves.cancel(read_before)
    assert [run.status for run in chain()] == ["canceled", "canceled"]


@pytest.mark.django_db(transaction=True)
def test_an_inline_run_that_is_restarted_meanwhile_is_left_to_workers(
    registry: dict[str, Workflow],
) -> None:
    @workflow("story")
    def story(context: Context) -> str:
        if not chain()[1:]:
            restart(only_run())
        return context.run("step", lambda: "done")

    told = story.run(workflow_run_id="order-7")

    assert told == InlineRun(workflow_run_id="order-7", status="running", result=None)


# -- what is refused


def test_a_run_that_has_begun_again_is_not_begun_a_second_time(order: Workflow) -> None:
    run = begin(order)
    restart(run)

    with pytest.raises(Refused, match="has begun again already") as refusal:
        restart(run)

    assert refusal.value.message == (
        "run order-7 has begun again already: restart the run in its place"
    )
    assert len(chain()) == 2


def test_a_run_whose_id_another_run_has_taken_stays_as_it_is(order: Workflow) -> None:
    run = begin(order, "fail")
    order.trigger("wait", workflow_run_id="order-7")

    with pytest.raises(Refused) as refusal:
        restart(run)

    assert refusal.value.message == "another run has the id order-7 now: end that one first"
    assert (len(chain()), DeadLetter.objects.count()) == (2, 1)


def test_a_run_that_is_rolled_back_is_restarted_only_after_that(
    define: Define, did: list[str]
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=lambda undo: did.append("undo"))
        await undoable.run("charge", did.append, "charge")
        await context.sleep("think", "1d")

    story.trigger(workflow_run_id="order-7")
    drain_here()
    run_moves.cancel(only_run(), roll_back=True)

    with pytest.raises(Refused) as refusal:
        restart(only_run())

    assert refusal.value.message == (
        "run order-7 is being rolled back: restart it once that has ended"
    )
    drain_here()
    new = restart(only_run())
    drain_here()
    assert new.undoing_at is None
    assert did == ["charge", "undo", "charge"]


def test_a_run_that_has_been_deleted_is_not_found(order: Workflow) -> None:
    run = begin(order, "succeed")
    Run.objects.filter(pk=run.pk).delete()

    with pytest.raises(RunNotFound):
        restart(run)


# -- runs of other services


def remote_run(account: Account) -> Run:
    return trigger(account, [RunRequest(url=URL, run_id="order-7")])[0].run


def test_a_run_of_another_service_begins_again(account: Account) -> None:
    new = restart(remote_run(account))

    assert [kind for kind, *_ in owed_to(new)] == ["delivery"]
    assert [run.status for run in chain()] == ["canceled", "running"]


def test_a_run_of_another_service_is_not_restarted_from_a_step(account: Account) -> None:
    with pytest.raises(Refused, match="can only be restarted from its beginning"):
        restart(remote_run(account), StepTarget(name="charge"))


def test_a_run_that_an_endpoint_is_at_work_on_is_not_restarted(account: Account) -> None:
    run = remote_run(account)
    leases.claim(1)

    with pytest.raises(Refused, match="is at work on it"):
        restart(run)
