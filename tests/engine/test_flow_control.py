"""What people may do to flow control keys (Upstash reference 5.5)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.conftest import Clock
from tests.engine.conftest import account, other_account
from workflows_app import FlowControlSpec
from workflows_app.engine import flow_control, leases
from workflows_app.engine.flow_control import find_flow_control, flow_control_of, usage_of
from workflows_app.engine.triggering import trigger
from workflows_app.errors import NotFound
from workflows_app.models import Account, FlowControl, Message
from workflows_app.protocol.runs import RunRequest

__all__ = ["account", "other_account"]

KEY = FlowControlSpec(key="reports", parallelism=5)


def start(account: Account, count: int, spec: FlowControlSpec = KEY) -> FlowControl:
    request = RunRequest(url="https://app.example/report", flow_control=spec)
    trigger(account, [request] * count)
    return find_flow_control(account, spec.key)


def test_nothing_of_a_paused_key_starts_until_it_is_resumed(account: Account, clock: Clock) -> None:
    control = start(account, 3)
    flow_control.pause(control)
    assert leases.claim(10) == []
    assert leases.next_due() is None
    start(account, 1)
    assert usage_of(control).waiting == 4

    flow_control.resume(control)
    assert len(leases.claim(10)) == 4
    assert usage_of(control).in_flight == 4


def test_a_pinned_limit_is_not_changed_by_what_is_published(account: Account, clock: Clock) -> None:
    start(account, 3)
    flow_control.pin(account, "reports", parallelism=1)
    control = start(account, 1, FlowControlSpec(key="reports", parallelism=9, rate=7))

    assert (control.parallelism, control.rate) == (1, 7)
    assert len(leases.claim(10)) == 1

    flow_control.unpin(control, parallelism=True, rate=False)
    assert start(account, 1).parallelism == 5


def test_a_pinned_rate_begins_a_new_period(account: Account, clock: Clock) -> None:
    control = start(account, 5, FlowControlSpec(key="reports", rate=1, period=timedelta(hours=1)))
    assert len(leases.claim(10)) == 1
    assert leases.claim(10) == []

    flow_control.pin(account, "reports", rate=2, period=timedelta(minutes=1))

    assert len(leases.claim(10)) == 2
    control.refresh_from_db()
    usage = usage_of(control)
    assert (usage.started, usage.period_began_at) == (2, clock.now)
    assert start(account, 0).period == timedelta(minutes=1)


def test_a_rate_that_is_reset_begins_a_new_period(account: Account, clock: Clock) -> None:
    control = start(account, 5, FlowControlSpec(key="reports", rate=2, period=timedelta(hours=1)))
    assert len(leases.claim(10)) == 2
    flow_control.reset_rate(control)
    assert len(leases.claim(10)) == 2
    clock.advance("2h")
    control.refresh_from_db()
    assert usage_of(control).started == 0


def test_a_key_may_be_pinned_before_its_first_message(account: Account, clock: Clock) -> None:
    flow_control.pin(account, "new", parallelism=2)
    control = flow_control_of(account, FlowControlSpec(key="new", parallelism=50))
    assert control is not None
    control.refresh_from_db()
    assert control.parallelism == 2


def test_a_key_that_no_message_ever_had_is_unknown(account: Account) -> None:
    with pytest.raises(NotFound, match="no message of this account ever had"):
        find_flow_control(account, "never")


def test_an_account_has_no_more_deliveries_under_way_than_it_may(
    account: Account, other_account: Account, clock: Clock
) -> None:
    Account.objects.filter(pk=account.pk).update(parallelism=2)
    plain = RunRequest(url="https://app.example/report")
    trigger(account, [plain] * 3)
    start(account, 3)
    trigger(other_account, [plain] * 3)

    claimed = leases.claim(20) + leases.claim(20)

    owners = [lease.run.account_id for lease in claimed]
    assert (owners.count(account.pk), owners.count(other_account.pk)) == (2, 3)
    assert flow_control.in_flight(account) == 2
    leases.give_back([lease for lease in claimed if lease.run.account_id == account.pk][:1])
    assert len(leases.claim(20)) == 1


def test_within_a_key_what_was_due_first_starts_first(account: Account, clock: Clock) -> None:
    spec = FlowControlSpec(key="reports", parallelism=1)
    for number in range(4):
        request = RunRequest(
            url="https://app.example/report", flow_control=spec, run_id=f"r{number}"
        )
        trigger(account, [request])
        clock.advance("1s")

    assert [claim_and_end() for _ in range(5)] == [["r0"], ["r1"], ["r2"], ["r3"], []]


def claim_and_end() -> list[str]:
    claimed = leases.claim(10)
    Message.objects.filter(pk__in=[lease.message_id for lease in claimed]).delete()
    return [lease.run.run_id for lease in claimed]


def test_a_key_with_much_work_leaves_others_their_turn(account: Account, clock: Clock) -> None:
    busy = start(account, 20, FlowControlSpec(key="busy", parallelism=50))
    clock.advance("1s")
    quiet = start(account, 2, FlowControlSpec(key="quiet", parallelism=50))

    claimed = leases.claim(4)

    controls = [lease.run.flow_control_id for lease in claimed]
    assert (controls.count(busy.pk), controls.count(quiet.pk)) == (2, 2)


def test_keys_take_turns_with_a_single_worker(account: Account, clock: Clock) -> None:
    for key in "abc":
        start(account, 5, FlowControlSpec(key=key, parallelism=50))
        clock.advance("1s")

    order = [leases.claim(1)[0].run.flow_control_id for _ in range(9)]

    assert len(set(order[:3])) == 3
    assert order == order[:3] * 3


def test_what_an_account_s_cap_holds_up_is_looked_for_when_a_slot_comes_back(
    account: Account, clock: Clock
) -> None:
    Account.objects.filter(pk=account.pk).update(parallelism=1)
    trigger(account, [RunRequest(url="https://app.example/report")] * 2)
    start(account, 2)
    assert leases.next_due() == clock.now

    (held,) = leases.claim(10)

    assert leases.next_due() == clock.now + timedelta(seconds=15), "the end of the lease"
    assert leases.oldest_due(clock.now) is None
    leases.give_back([held])
    assert leases.next_due() == clock.now
    Account.objects.filter(pk=account.pk).update(parallelism=None)
    assert len(leases.claim(10) + leases.claim(10)) == 4


def test_a_lease_that_ran_out_does_not_come_back_into_a_full_account(
    account: Account, clock: Clock
) -> None:
    Account.objects.filter(pk=account.pk).update(parallelism=1)
    trigger(account, [RunRequest(url="https://app.example/report")] * 2)
    first = leases.claim(1)
    clock.advance("15s")
    second = leases.claim(1)
    leases.renew([*first, *second])

    assert flow_control.in_flight(account) == 1


def test_a_message_sets_all_limits_that_are_not_pinned(account: Account) -> None:
    flow_control_of(account, FlowControlSpec(key="reports", parallelism=2, rate=5))
    flow_control.pin(account, "reports", parallelism=3)
    flow_control_of(account, FlowControlSpec(key="reports", rate=9))
    flow_control_of(account, FlowControlSpec(key="reports", parallelism=7))

    control = find_flow_control(account, "reports")
    assert (control.parallelism, control.rate) == (3, None)


def test_what_waits_for_a_key_is_counted_as_far_as_was_asked(
    account: Account, clock: Clock
) -> None:
    crowded = start(account, 5)
    calm = start(account, 2, FlowControlSpec(key="calm", parallelism=1))

    usages = flow_control.usage_of_all([crowded, calm], 3)

    assert (usages[crowded.pk].waiting, usages[calm.pk].waiting) == (4, 2)
