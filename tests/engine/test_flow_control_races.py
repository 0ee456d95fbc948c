"""Limits that are changed while several claim, and an account's own, on a real database."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from tests.engine.test_races import at_once
from workflows_app import FlowControlSpec
from workflows_app.engine import flow_control, leases
from workflows_app.engine.flow_control import find_flow_control, flow_control_of
from workflows_app.engine.triggering import trigger
from workflows_app.models import Account, FlowControl, Message
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db(transaction=True)

CLAIMERS = 5


class InFlight:
    """Counts from outside the database what is held at once."""

    def __init__(self) -> None:
        self.most = 0
        self.started = 0
        self._now = 0
        self._lock = threading.Lock()

    def begin(self, count: int) -> None:
        with self._lock:
            self._now += count
            self.started += count
            self.most = max(self.most, self._now)

    def end(self, count: int) -> None:
        with self._lock:
            self._now -= count


def start(count: int, spec: FlowControlSpec | None) -> None:
    request = RunRequest(url="https://app.example/", flow_control=spec)
    trigger(Account.objects.default(), [request] * count)


def work_off(seen: InFlight, rounds: int = 40) -> Callable[[], None]:
    """Claim, hold and end, as one worker does."""

    def work() -> None:
        for _ in range(rounds):
            held = leases.claim(3)
            seen.begin(len(held))
            seen.end(len(held))
            Message.objects.filter(pk__in=[lease.message_id for lease in held]).delete()

    return work


def test_claimers_at_once_never_hold_more_of_an_account_than_its_parallelism() -> None:
    Account.objects.filter(pk=Account.objects.default().pk).update(parallelism=2)
    start(40, FlowControlSpec(key="a", parallelism=10))
    start(40, FlowControlSpec(key="b", parallelism=10))
    start(40, None)
    seen = InFlight()

    at_once(*[work_off(seen)] * CLAIMERS)

    assert seen.most <= 2
    assert seen.started > 20


def test_messages_that_set_limits_while_people_pin_them_change_no_pinned_limit() -> None:
    """Nor do they ever leave a key without limits, which no key may be."""
    account = Account.objects.default()
    flow_control_of(account, FlowControlSpec(key="k", parallelism=1, rate=1))
    specs = [
        FlowControlSpec(key="k", parallelism=2),
        FlowControlSpec(key="k", rate=3),
        FlowControlSpec(key="k", parallelism=2, rate=3),
    ]

    def publish(seed: int) -> Callable[[], None]:
        choice = random.Random(seed)

        def work() -> None:
            for _ in range(15):
                flow_control_of(account, choice.choice(specs))

        return work

    def pin_and_unpin() -> None:
        for _ in range(5):
            flow_control.pin(account, "k", parallelism=50)
            control = find_flow_control(account, "k")
            assert (control.parallelism, control.parallelism_pinned) == (50, True)
            flow_control.unpin(control, parallelism=True, rate=True)

    at_once(pin_and_unpin, *map(publish, range(4)))

    control = FlowControl.objects.get()
    assert (control.parallelism, control.rate) in {
        (50, 3),
        (50, None),
        (2, None),
        (None, 3),
        (2, 3),
    }


def test_what_is_claimed_while_a_key_is_paused_was_claimed_before() -> None:
    start(40, FlowControlSpec(key="k", parallelism=40))
    account = Account.objects.default()
    control = find_flow_control(account, "k")

    def pause_and_look() -> int:
        flow_control.pause(control)
        return Message.objects.filter(token=None).count()

    def claim() -> int:
        return len([lease for _ in range(10) for lease in leases.claim(1)])

    left, *claimed = at_once(pause_and_look, claim, claim, claim)

    assert 40 - sum(claimed) == left
    assert leases.claim(40) == []
