"""What comes of things that happen to a remote run at the same time, with real commits."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction

from tests.engine.test_races import at_once
from tests.remote.conftest import World, answered
from workflows_app.engine import clock, events, leases, run_moves
from workflows_app.engine.delivery import begin, deliver, settle
from workflows_app.engine.remote import adopting, invoking, journal, publishing, waiting
from workflows_app.engine.triggering import trigger
from workflows_app.errors import RunEnded
from workflows_app.models import (
    Account,
    Attempt,
    Event,
    FlowControl,
    Invocation,
    Message,
    Run,
    Step,
    Waiter,
)
from workflows_app.protocol.published import read_step
from workflows_app.protocol.publishing import Accepted, InvokeRequest, StepRequest, WaitRequest
from workflows_app.protocol.runs import FlowControlSpec, RunRequest, StepKind

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://app.example/order"
ROUNDS = 8


@pytest.fixture
def account() -> Account:
    return Account.objects.default()


def start(account: Account, run_id: str = "order") -> Run:
    """A live run whose first delivery is done."""
    (started,) = trigger(account, [RunRequest(url=URL, run_id=run_id)])
    Message.objects.filter(run=started.run).delete()
    return started.run


def raw(step_id: int, name: str = "step", **more: object) -> bytes:
    step = {"stepId": step_id, "stepName": name, "stepType": "Run", "concurrent": 1, **more}
    return json.dumps(step).encode()


def publish(account: Account, body: bytes, run_id: str = "order") -> Accepted | None:
    try:
        return publishing.publish_step(account, StepRequest(run_id=run_id, raw=body))
    except RunEnded:
        return None


def wait(account: Account, timeout: timedelta = timedelta(hours=1)) -> Accepted:
    step = json.dumps({"stepId": 1, "stepName": "approval", "stepType": "Wait", "concurrent": 1})
    request = WaitRequest(run_id="order", event_id="approved", step=step, timeout=timeout)
    return waiting.wait(account, request)


def test_steps_that_are_published_at_once_have_one_order(account: Account) -> None:
    run = start(account)

    at_once(*(partial(publish, account, raw(number)) for number in range(1, 9)))

    steps = list(Step.objects.filter(run=run).order_by("id"))
    assert sorted(step.key for step in steps) == [str(number) for number in range(1, 9)]
    assert Message.objects.filter(run=run).count() == 8


def test_a_step_that_is_published_twice_at_once_is_there_once(account: Account) -> None:
    run = start(account)

    accepted = at_once(*[partial(publish, account, raw(1))] * 4)

    assert len({each.message_id for each in accepted if each}) == 1
    assert sorted(each.deduplicated for each in accepted if each) == [False, True, True, True]
    assert Step.objects.filter(run=run).count() == Message.objects.filter(run=run).count() == 1


def test_steps_of_several_runs_that_share_a_commit_are_each_owed_to_their_own(
    account: Account,
) -> None:
    runs = [start(account, f"order-{number}") for number in range(8)]

    accepted = at_once(*(partial(publish, account, raw(1, run.run_id), run.run_id) for run in runs))

    assert all(each and not each.deduplicated for each in accepted)
    for run in runs:
        assert [step.name for step in Step.objects.filter(run=run)] == [run.run_id]
        assert [message.key for message in Message.objects.filter(run=run)] == ["1"]


def test_a_step_for_a_run_that_is_locked_waits_and_is_accepted(account: Account) -> None:
    run, locked = start(account), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Run.objects.lock(run.pk)
            locked.set()
            time.sleep(0.2)

    def publish_meanwhile() -> Accepted | None:
        assert locked.wait(10)
        return publish(account, raw(1))

    _, accepted = at_once(hold, publish_meanwhile)

    assert accepted is not None
    assert Step.objects.filter(run=run).count() == Message.objects.filter(run=run).count() == 1


def test_a_wait_whose_step_was_recorded_all_the_same_is_ended_by_its_event(
    account: Account,
) -> None:
    run = start(account)
    wait(account)
    journal.append(run, key="1", name="approval", kind=StepKind.RUN, raw=raw(1))

    events.notify(account, "approved", b"yes")

    assert not Waiter.objects.exists()
    assert Step.objects.filter(run=run).count() == 1


def test_a_run_that_ends_while_steps_come_keeps_none_that_nobody_would_deliver(
    account: Account,
) -> None:
    for number in range(ROUNDS):
        run_id = f"order-{number}"
        run = start(account, run_id)

        at_once(
            partial(publish, account, raw(1), run_id),
            partial(run_moves.finish, account, run_id, '"done"'),
            partial(publish, account, raw(2), run_id),
        )

        run.refresh_from_db()
        assert run.status == Run.Status.SUCCEEDED
        assert not Message.objects.exists()


def test_event_and_deadline_resolve_a_wait_once(account: Account) -> None:
    for _ in range(ROUNDS):
        run = start(account)
        wait(account, timedelta())
        (lease,) = leases.claim(1)

        _, told = at_once(
            partial(deliver, lease), partial(events.notify, account, "approved", b"yes")
        )

        (step,) = Step.objects.filter(run=run)
        said = read_step(bytes(step.raw or b""))
        assert said is not None
        assert said.details["waitTimeout"] is (not told)
        assert not Waiter.objects.exists()
        assert [message.kind for message in Message.objects.all()] == ["delivery"]
        run_moves.cancel(run)


def test_an_event_that_comes_with_the_wait_is_not_lost(account: Account) -> None:
    for _ in range(ROUNDS):
        run = start(account)

        at_once(partial(wait, account), partial(events.notify_run, run, "approved", b"yes"))

        assert Step.objects.filter(run=run).count() == 1
        assert not Waiter.objects.exists()
        assert not Event.objects.exists()
        run_moves.cancel(run)


def test_several_events_at_once_each_end_one_wait(account: Account) -> None:
    run = start(account)
    wait(account)

    told = at_once(*[partial(events.notify_run, run, "approved", b"yes")] * 4)

    assert len([each for each in told if each and each.waiter]) == 1
    assert Event.objects.count() == 3


def test_whoever_invokes_a_run_that_ends_is_told_of_its_end(account: Account) -> None:
    for number in range(ROUNDS):
        parent = start(account, f"parent-{number}")
        child = start(account, f"child-{number}")
        step = {"stepId": 1, "stepName": "ask", "stepType": "Invoke", "concurrent": 1}
        request = InvokeRequest(
            parent_run_id=parent.run_id,
            step=json.dumps(step),
            run=RunRequest(url=URL, run_id=child.run_id),
        )

        at_once(
            partial(invoking.invoke, account, request, 1),
            partial(run_moves.finish, account, child.run_id, '"done"'),
        )

        invoked = Invocation.objects.get(parent=parent).child
        if invoked.is_live:  # the id was free again
            run_moves.finish(account, invoked.run_id, '"done"')
        owed = Message.objects.get(run=parent)
        assert (owed.kind, owed.key) == (Message.Kind.REPORT, "1")
        run_moves.cancel(parent)
        run_moves.cancel_all(Run.objects.live())


def test_a_run_that_is_cancelled_while_a_step_is_delivered_ends_without_a_message(
    account: Account, world: World
) -> None:
    world.answers[URL] = [answered(500)] * ROUNDS
    for _ in range(ROUNDS):
        run = start(account)
        publish(account, raw(1))
        Message.objects.update(due_at=clock.now())
        (lease,) = leases.claim(1)

        at_once(partial(deliver, lease), partial(run_moves.cancel, run))

        assert not Message.objects.exists()
        run.refresh_from_db()
        assert run.status == Run.Status.CANCELED


def test_a_delivery_that_lost_its_lease_leaves_nothing_in_a_run_that_ends_meanwhile(
    account: Account, world: World
) -> None:
    (started,) = trigger(account, [RunRequest(url=URL, run_id="order")])
    (lease,) = leases.claim(1)
    Message.objects.update(token="another worker's")
    world.answers[URL] = [answered()]
    ending = threading.Event()

    def end() -> None:
        with transaction.atomic():
            run_moves.cancel(started.run)
            ending.set()
            time.sleep(0.2)

    def deliver_late() -> None:
        assert ending.wait(10)
        deliver(lease)

    at_once(end, deliver_late)

    assert not Attempt.objects.exists()


def test_a_run_that_its_endpoint_takes_over_keeps_to_the_limits_named_then(
    account: Account, world: World
) -> None:
    trigger(account, [RunRequest(url=URL, run_id="order")])
    (lease,) = leases.claim(1)
    pending = begin(lease)
    assert pending is not None
    limits = FlowControlSpec(key="packing", parallelism=1)

    adopting.adopt(account, RunRequest(url=URL, run_id="order", flow_control=limits))
    settle(lease, pending, answered(200))

    again = Message.objects.get()
    assert again.flow_control == FlowControl.objects.get(key="packing")
    assert again.token is None
