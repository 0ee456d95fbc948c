"""Claiming what is due, and keeping, giving back or losing what was claimed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from workflows_app import Context, FlowControlSpec, Workflow, workflow
from workflows_app.engine import leases
from workflows_app.engine.leases import Lease, claim, give_back, next_due, oldest_due, renew
from workflows_app.engine.settling import retry
from workflows_app.engine.triggering import trigger_leased
from workflows_app.errors import LeaseLost
from workflows_app.models import Account, FlowControl, Message, Run

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=15)


@pytest.fixture
def story(registry: dict[str, Workflow], clock: Clock) -> Workflow:
    @workflow("story")
    def story(context: Context) -> None: ...

    return story


def start(story: Workflow, run_id: str, **options: Any) -> None:
    story.trigger(workflow_run_id=run_id, **options)


def claimed(limit: int = 100) -> list[str]:
    """The runs whose messages are claimed, sorted, as one claim has no order within itself."""
    return sorted(lease.run.run_id for lease in claim(limit))


# -- claiming


@pytest.mark.parametrize("options", [{}, {"flow_control": FlowControlSpec(key="k", parallelism=9)}])
def test_a_claim_can_be_for_some_kinds_alone(story: Workflow, options: dict[str, Any]) -> None:
    start(story, "turn", **options)
    start(story, "call", **options)
    Message.objects.filter(run__run_id="call").update(kind=Message.Kind.CALL)

    (turn,) = claim(9, kinds=leases.WITHOUT_EXCHANGE)
    (call,) = claim(9)

    assert (turn.kind, call.kind) == ("turn", "call")
    assert (turn.may_exchange, call.may_exchange) == (False, True)


def test_a_lease_tells_all_that_its_delivery_needs(story: Workflow, clock: Clock) -> None:
    story.trigger({"id": 7}, workflow_run_id="order-7", labels="vip", timeout="30s")
    (lease,) = claim(1)

    message, run = Message.objects.get(), Run.objects.get()
    assert lease == Lease(
        message_id=message.pk,
        kind="turn",
        key="",
        request="",
        token=lease.token,
        claims=1,
        wakes=0,
        owner=run,
    )
    assert {
        field.attname: getattr(lease.run, field.attname) for field in Run._meta.concrete_fields
    } == {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields}
    assert (message.token, message.due_at, message.claims) == (
        lease.token,
        clock.now + LEASE,
        1,
    )


def test_what_is_claimed_is_not_claimed_again_while_the_lease_lasts(
    story: Workflow, clock: Clock
) -> None:
    start(story, "a")

    assert claimed() == ["a"]
    assert claimed() == []
    clock.advance(LEASE - timedelta(microseconds=1))
    assert claimed() == []


def test_a_lease_that_has_run_out_is_another_s_to_claim(story: Workflow, clock: Clock) -> None:
    start(story, "a")
    (first,) = claim(1)
    clock.advance(LEASE)
    (second,) = claim(1)

    assert (second.message_id, second.claims) == (first.message_id, 2)
    assert second.token != first.token


def test_how_long_a_lease_lasts_is_a_setting(
    story: Workflow, clock: Clock, settings: Settings
) -> None:
    settings.WORKFLOWS = {"LEASE": "1m"}
    start(story, "a")
    claim(1)

    assert Message.objects.get().due_at == clock.now + timedelta(minutes=1)


def test_of_what_fell_due_at_once_the_oldest_is_claimed_first(
    story: Workflow, clock: Clock
) -> None:
    runs = [story.trigger().workflow_run_id for _ in range(5)]
    give_back(claim(2))

    assert [lease.run.run_id for _ in runs for lease in claim(1)] == runs


def test_what_has_been_due_longest_is_claimed_first(story: Workflow, clock: Clock) -> None:
    for run_id, delay in (("c", "3s"), ("a", "1s"), ("d", "4s"), ("b", "2s")):
        start(story, run_id, delay=delay)
    clock.advance("1m")

    assert [claimed(1), claimed(2), claimed(9), claimed(9)] == [["a"], ["b", "c"], ["d"], []]


def test_what_is_not_due_is_not_claimed(story: Workflow, clock: Clock) -> None:
    start(story, "later", delay="1h")
    start(story, "now")

    assert claimed() == ["now"]
    clock.advance("1h")
    assert "later" in claimed()


def test_what_waits_for_a_wake_is_never_due(story: Workflow, clock: Clock) -> None:
    start(story, "a")
    Message.objects.update(due_at=None)
    clock.advance(timedelta(days=365))

    assert claimed() == []
    assert next_due() is None


def test_no_two_claims_share_a_token(story: Workflow, clock: Clock) -> None:
    for run_id in "abc":
        start(story, run_id)
    (first,) = claim(1)
    second, third = claim(2)

    assert second.token == third.token != first.token


# -- keeping, giving back, losing


def test_a_lease_that_is_renewed_lasts_as_long_again(story: Workflow, clock: Clock) -> None:
    start(story, "a")
    held = claim(1)
    for _ in range(5):
        clock.advance("10s")
        renew(held)
        assert Message.objects.get().due_at == clock.now + LEASE

    assert claimed() == []


def test_all_leases_are_renewed_together(story: Workflow, clock: Clock) -> None:
    for run_id in "abc":
        start(story, run_id)
    held = claim(3)
    clock.advance("10s")
    renew(held)

    assert set(Message.objects.values_list("due_at", flat=True)) == {clock.now + LEASE}


@pytest.mark.parametrize("verb", [renew, give_back])
def test_a_lease_that_another_worker_took_over_is_left_alone(
    verb: Any, story: Workflow, clock: Clock
) -> None:
    start(story, "a")
    stale = claim(1)
    clock.advance(LEASE)
    claim(1)
    before = Message.objects.values().get()
    clock.advance("1s")
    verb(stale)

    assert Message.objects.values().get() == before


@pytest.mark.parametrize("verb", [renew, give_back])
def test_a_message_that_was_settled_does_not_come_back(
    verb: Any, story: Workflow, clock: Clock
) -> None:
    start(story, "a")
    held = claim(1)
    Message.objects.all().delete()
    verb(held)

    assert not Message.objects.exists()


@pytest.mark.parametrize("verb", [renew, give_back])
def test_nothing_held_is_nothing_to_do(verb: Any, story: Workflow) -> None:
    start(story, "a")
    before = Message.objects.values().get()
    verb([])

    assert Message.objects.values().get() == before


def test_a_lease_that_ran_out_unnoticed_can_still_be_renewed(story: Workflow, clock: Clock) -> None:
    """As after a pause of the whole process, if nobody was there to claim it."""
    start(story, "a")
    held = claim(1)
    clock.advance(LEASE * 2)
    renew(held)

    assert claimed() == []


def test_what_is_given_back_is_due_at_once_for_anyone(story: Workflow, clock: Clock) -> None:
    start(story, "a")
    start(story, "b")
    held = claim(2)
    clock.advance("1s")
    give_back(held[:1])

    assert Message.objects.filter(token=None).get().due_at == clock.now
    assert claimed() == [held[0].run.run_id]


def test_a_retry_gives_the_message_up_until_its_time(story: Workflow, clock: Clock) -> None:
    start(story, "a")
    (lease,) = claim(1)
    retry(lease, clock.now + timedelta(minutes=1))

    assert claimed() == []
    clock.advance("1m")
    assert claimed() == ["a"]
    with pytest.raises(LeaseLost):
        retry(lease, clock.now)


def test_a_run_may_be_stored_with_its_first_lease_taken(
    story: Workflow, account: Account, clock: Clock
) -> None:
    started, message = trigger_leased(account, story.request(workflow_run_id="a"))

    assert message is not None
    lease = leases.take(message)
    assert (lease.run, lease.claims, lease.kind) == (started.run, 1, "turn")
    assert claimed() == []
    give_back([lease])
    assert claimed() == ["a"]


# -- what is due next


def test_what_is_due_next_is_when_someone_has_to_look(story: Workflow, clock: Clock) -> None:
    now = clock.now
    assert next_due() is None
    start(story, "b", delay="2h")
    assert next_due() == now + timedelta(hours=2)
    start(story, "a", delay="1h")
    assert next_due() == now + timedelta(hours=1)
    start(story, "now")
    assert next_due() == now
    claim(1)
    assert next_due() == now + LEASE, "when the lease runs out, unless it is settled or renewed"


def test_since_when_work_waits_shows_how_far_behind_the_workers_are(
    story: Workflow, clock: Clock
) -> None:
    assert oldest_due(clock.now) is None
    since = clock.now
    start(story, "a")
    start(story, "b", delay="1h")
    clock.advance("5m")
    assert oldest_due(clock.now) == since
    claim(1)
    assert oldest_due(clock.now) is None


# -- limits


def limited(key: str = "k", **limits: Any) -> FlowControlSpec:
    return FlowControlSpec(key=key, **limits)


def test_no_more_of_a_key_is_claimed_than_may_work_at_once(story: Workflow, clock: Clock) -> None:
    for run_id in "abcde":
        start(story, run_id, flow_control=limited(parallelism=2))
        clock.advance("1s")

    first = claim(100)
    assert sorted(lease.run.run_id for lease in first) == ["a", "b"]
    assert claim(100) == []
    give_back(first[:1])
    assert len(claim(100)) == 1


def test_the_slot_of_a_worker_that_died_comes_back_with_its_lease(
    story: Workflow, clock: Clock
) -> None:
    for run_id in "ab":
        start(story, run_id, flow_control=limited(parallelism=1))
    claim(1)
    assert claimed() == []
    clock.advance(LEASE)

    assert len(claimed()) == 1


def test_a_waiting_run_holds_no_slot(story: Workflow, clock: Clock) -> None:
    for run_id in "ab":
        start(story, run_id, flow_control=limited(parallelism=1))
        clock.advance("1s")
    (lease,) = claim(1)
    retry(lease, clock.now + timedelta(hours=1))

    assert claimed() == ["b"]


def test_no_more_of_a_key_starts_in_a_period_than_its_rate(story: Workflow, clock: Clock) -> None:
    began = clock.now
    for run_id in "abcde":
        start(story, run_id, flow_control=limited(rate=2, period=timedelta(minutes=1)))
        clock.advance("1s")

    clock.stop_at(began)
    started = []
    for minute in range(3):
        clock.stop_at(began + timedelta(minutes=minute, seconds=10))
        started += [settled(), settled()]

    assert started == [["a", "b"], [], ["c", "d"], [], ["e"], []]


def settled() -> list[str]:
    """The runs of what could be claimed, which then are owed nothing more."""
    runs = claimed()
    Message.objects.filter(run__run_id__in=runs).delete()
    return runs


def test_a_rate_counts_from_the_first_start_of_its_period(story: Workflow, clock: Clock) -> None:
    for run_id in "abcd":
        start(story, run_id, flow_control=limited(rate=2, period=timedelta(minutes=10)))
    began = clock.now
    claim(1)
    clock.advance("5m")
    claim(1)
    assert claimed() == []
    control = FlowControl.objects.get()
    assert (control.window_started_at, control.window_count) == (began, 2)
    clock.stop_at(began + timedelta(minutes=10))

    assert len(claim(100)) == 2


def test_both_limits_of_a_key_hold(story: Workflow, clock: Clock) -> None:
    spec = limited(parallelism=1, rate=2, period=timedelta(minutes=1))
    for run_id in "abc":
        start(story, run_id, flow_control=spec)

    for _ in range(2):
        (lease,) = claim(100)
        Message.objects.filter(pk=lease.message_id).delete()
    assert claim(100) == []
    clock.advance("1m")
    assert len(claim(100)) == 1


def test_keys_do_not_limit_each_other(story: Workflow, clock: Clock) -> None:
    for run_id, key in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")):
        start(story, run_id, flow_control=limited(key, parallelism=1))
        clock.advance("1s")
    start(story, "free")

    assert sorted(claimed() + claimed()) == ["a1", "b1", "free"]
    assert claimed() == []


def test_a_claim_takes_no_more_of_all_keys_than_it_asked_for(story: Workflow, clock: Clock) -> None:
    for key in "abcd":
        start(story, key, flow_control=limited(key, parallelism=1))
        clock.advance("1s")

    first, second = claimed(3), claimed(3)

    assert (len(first), sorted(first + second)) == (3, ["a", "b", "c", "d"])


def due_next(clock: Clock) -> timedelta | None:
    moment: datetime | None = next_due()
    return None if moment is None else moment - clock.now


def test_what_is_due_next_takes_limits_into_account(story: Workflow, clock: Clock) -> None:
    start(story, "a", flow_control=limited(parallelism=1), delay="1h")
    assert due_next(clock) == timedelta(hours=1)
    start(story, "b", flow_control=limited(parallelism=1))
    assert due_next(clock) == timedelta()
    claim(1)
    assert due_next(clock) == LEASE, "nothing else is waiting for the slot yet"
    start(story, "c", flow_control=limited(parallelism=1))
    assert due_next(clock) == LEASE, "the slot comes back with the lease"


def test_what_is_due_next_waits_for_the_end_of_a_full_period(story: Workflow, clock: Clock) -> None:
    for run_id in "ab":
        start(story, run_id, flow_control=limited(rate=1, period=timedelta(seconds=10)))
    claim(1)

    assert due_next(clock) == timedelta(seconds=10)
    clock.advance("10s")
    assert oldest_due(clock.now) is not None


def test_a_key_that_nothing_waits_for_does_not_count(story: Workflow, clock: Clock) -> None:
    start(story, "a", flow_control=limited(parallelism=1))
    Message.objects.update(due_at=None)
    start(story, "b", delay="5m")

    assert due_next(clock) == timedelta(minutes=5)


def test_work_that_its_limits_hold_up_is_not_late(story: Workflow, clock: Clock) -> None:
    for run_id in "ab":
        start(story, run_id, flow_control=limited(parallelism=1))
    held = claim(1)
    for _ in range(10):
        clock.advance("10s")
        renew(held)

    assert oldest_due(clock.now) is None
