"""What comes of publishing, delivering and cancelling at the same time, on a real database."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.conftest import Clock
from tests.engine.publishing import send, slots, states, stored
from tests.engine.test_races import PATIENCE, at_once, claim_one
from workflows_app.engine import (
    delivery,
    leases,
    ports,
    publication_moves,
    queue_slots,
    queues,
    schedules,
)
from workflows_app.engine.database import joining
from workflows_app.engine.drain import Crew
from workflows_app.errors import DeadLetterNotFound, NotFound
from workflows_app.models import Account, Message, Publication, Queue, Schedule
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.worker.transport import WorkflowTransport

pytestmark = pytest.mark.django_db(transaction=True)

Status = Publication.Status


class BusyEndpoint(WorkflowTransport):
    """Takes a while, fails at times, and knows how many it had to deal with at once."""

    def __init__(self) -> None:
        self.most = 0
        self.bodies: list[bytes] = []
        self.failing = 0.0
        self._now = 0
        self._lock = threading.Lock()
        self._random = random.Random(7)

    def send(self, request: Outgoing) -> Answer:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.bodies.append(request.body or b"")
            fails = self._random.random() < self.failing
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        return Answer(status=500 if fails else 200, headers={}, body=b"")


@pytest.fixture
def endpoint() -> Iterator[BusyEndpoint]:
    usual, busy = ports.get_transport(), BusyEndpoint()
    ports.install_transport(busy)
    try:
        yield busy
    finally:
        ports.install_transport(usual)


@pytest.fixture
def account() -> Account:
    return Account.objects.default()


def work_off(meanwhile: Callable[[], None] = lambda: None) -> None:
    """Deliver with eight threads until nothing is owed."""
    crew = Crew(8)
    try:
        crew.ring()
        deadline = time.monotonic() + PATIENCE
        while Message.objects.exists() and time.monotonic() < deadline:
            meanwhile()
            time.sleep(0.01)
            if leases.next_due() is not None:
                crew.ring()
    finally:
        crew.stop(grace=5)
    assert not Message.objects.exists()


# -- queues


def test_a_queue_never_delivers_more_at_once_than_it_may(account, endpoint: BusyEndpoint) -> None:
    queues.upsert(account, "line", parallelism=3)
    at_once(*[lambda: [send(account, queue="line") for _ in range(10)]] * 4)

    work_off()

    assert 1 < endpoint.most <= 3
    assert Counter(Publication.objects.values_list("status", flat=True)) == {Status.DELIVERED: 40}


def test_a_queue_of_one_keeps_the_order_whatever_fails(account, endpoint: BusyEndpoint) -> None:
    endpoint.failing = 0.3
    for number in range(20):
        send(account, queue="line", body=b"%02d" % number, retry_delay="0", retries="50")

    work_off()

    assert endpoint.most == 1
    assert endpoint.bodies == sorted(endpoint.bodies)


def test_pauses_changes_and_cancellations_leave_no_message_behind(account, endpoint) -> None:
    endpoint.failing = 0.2
    chance = random.Random(11)
    ids = [send(account, queue="line", retry_delay="0", retries="50") for _ in range(60)]

    disturbances: list[Callable[[], object]] = [
        lambda: queues.pause(account, "line"),
        lambda: queues.upsert(account, "line", parallelism=chance.randint(1, 4)),
        lambda: cancel(chance.choice(ids)),
    ]

    def disturb() -> None:
        chance.choice(disturbances)()
        queues.resume(account, "line")

    work_off(disturb)

    ended = Counter(Publication.objects.values_list("status", flat=True))
    assert ended.keys() <= {Status.DELIVERED, Status.CANCELED}
    assert ended.total() == 60
    assert endpoint.most <= 4


def test_the_first_messages_of_a_queue_make_it_once_and_one_has_its_turn(account) -> None:
    at_once(*[lambda: send(account, queue="line")] * 8)

    assert Queue.objects.count() == 1
    assert len(slots("line")) == 1
    assert Message.objects.count() == 8


def test_a_queue_deleted_while_messages_come_holds_none_that_is_not_delivered(account) -> None:
    send(account, queue="line")

    def delete() -> None:
        queues.delete(account, "line")

    at_once(delete, *[lambda: send(account, queue="line") and None] * 5)

    waiting = set(Publication.objects.waiting().values_list("pk", flat=True))
    assert set(Message.objects.values_list("publication_id", flat=True)) == waiting
    assert len(slots("line")) == (1 if waiting else 0)


def test_batches_that_name_queues_in_different_orders_do_not_wait_for_each_other(account) -> None:
    def batch(*names: str) -> None:
        with joining():
            queue_slots.lock_queues(account, names)
            for name in names:
                send(account, queue=name)
                time.sleep(0.01)

    at_once(*[partial(batch, "a", "b"), partial(batch, "b", "a")] * 3)

    assert Counter(slots("a") + slots("b")).total() == 2
    assert Message.objects.count() == 12


# -- publishing


def test_of_messages_with_one_deduplication_id_one_is_published(account) -> None:
    ids = at_once(*[lambda: send(account, deduplication_id="7")] * 8)

    assert len(set(ids)) == 1
    assert Publication.objects.count() == 1


def test_when_a_window_has_ended_one_message_opens_the_next(account, clock: Clock) -> None:
    first = send(account, deduplication_id="7")
    clock.advance("10m")

    ids = at_once(*[lambda: send(account, deduplication_id="7")] * 8)

    assert len(set(ids)) == 1
    assert first not in ids
    assert Publication.objects.count() == 2


# -- ends


def cancel(message_id: str) -> bool:
    try:
        publication_moves.cancel(stored(message_id))
    except NotFound:
        return False
    return True


@pytest.mark.parametrize("turn", range(5))
def test_a_message_is_either_delivered_or_cancelled(account, endpoint, turn: int) -> None:
    first, second = send(account, queue="line"), send(account, queue="line")
    lease = claim_one()

    def deliver() -> bool:
        delivery.deliver(lease)
        return False

    canceled = any(at_once(deliver, partial(cancel, first), partial(cancel, first)))

    assert stored(first).status == (Status.CANCELED if canceled else Status.DELIVERED)
    assert states(first)[-1] == ("canceled" if canceled else "delivered")
    assert states(first).count("canceled") == int(canceled)
    assert slots("line") == [second]


def test_a_dead_letter_is_retried_once(account, endpoint: BusyEndpoint) -> None:
    endpoint.failing = 1.0
    message_id = send(account, retries="0")
    delivery.deliver(claim_one())

    def retry() -> bool:
        try:
            publication_moves.retry(stored(message_id))
        except DeadLetterNotFound:
            return False
        return True

    assert at_once(*[retry] * 6).count(True) == 1
    assert Message.objects.count() == 1


# -- schedules


@pytest.mark.parametrize("turn", range(5))
def test_a_schedule_that_is_changed_while_it_fires_has_one_next_slot(
    account, clock: Clock, turn: int
) -> None:
    said = {"upstash-cron": "0 * * * *", "upstash-schedule-id": "s"}
    url = "https://shop.example.org/"

    def create() -> None:
        schedules.create(account, url, said.items(), b"", caller_ip="")

    create()
    clock.advance("1h")
    lease = claim_one()

    def pause_and_resume() -> None:
        schedule = Schedule.objects.get()
        schedules.pause(schedule)
        schedules.resume(schedule)

    at_once(partial(delivery.deliver, lease), create, create, pause_and_resume)

    assert Message.objects.filter(kind=Message.Kind.SCHEDULE).count() == 1
    assert Publication.objects.count() <= 1


def test_a_schedule_made_at_once_is_one(account) -> None:
    said = {"upstash-cron": "0 * * * *", "upstash-schedule-id": "s"}

    def create() -> None:
        schedules.create(account, "https://a.example.org/", said.items(), b"", caller_ip="")

    at_once(*[create] * 6)

    assert Schedule.objects.count() == 1
    assert Message.objects.count() == 1


def test_a_schedule_deleted_while_it_fires_is_gone(account, clock: Clock) -> None:
    said = {"upstash-cron": "0 * * * *"}
    made = schedules.create(account, "https://a.example.org/", said.items(), b"", caller_ip="")
    clock.advance("1h")
    lease = claim_one()

    at_once(partial(delivery.deliver, lease), partial(schedules.delete, made))

    assert not Schedule.objects.exists()
    assert not Message.objects.filter(kind=Message.Kind.SCHEDULE).exists()
