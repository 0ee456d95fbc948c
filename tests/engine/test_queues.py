"""Queues deliver in the order in which messages came, no more at once than they may."""

from __future__ import annotations

import pytest

from tests.conftest import Clock
from tests.engine.publishing import send, slots, states, stored
from tests.engine.world import World
from workflows_app.engine import delivery, leases, queues
from workflows_app.engine.drain import drain_here
from workflows_app.engine.publication_moves import cancel
from workflows_app.errors import InvalidInput, LimitExceeded, NotFound
from workflows_app.models import Account, Message, Publication, Queue


def send_many(account: Account, count: int, **headers: str) -> list[str]:
    """To the queue "line"."""
    return [send(account, body=b"%d" % number, queue="line", **headers) for number in range(count)]


def test_a_queue_is_made_at_its_first_use_and_delivers_one_at_a_time(account):
    first, *_ = send_many(account, 3)

    assert Queue.objects.get().parallelism == 1
    assert slots("line") == [first]


def test_messages_are_delivered_in_the_order_in_which_they_came(account, world: World):
    world.answers(200, 200, 200)
    send_many(account, 3)

    drain_here()

    assert [request.body for request in world.sent] == [b"0", b"1", b"2"]


def test_a_message_that_is_tried_again_keeps_its_turn(account, world, clock: Clock):
    world.answers(500, 200, 200)
    first, second = send_many(account, 2)

    drain_here()
    assert (len(world.sent), slots("line")) == (1, [first])
    clock.advance("12s")
    drain_here()
    assert [request.body for request in world.sent] == [b"0", b"0", b"1"]
    assert states(second)[-1] == "delivered"


def test_a_message_that_is_given_up_lets_the_next_one_go(account, world):
    world.answers(500, 200)
    send_many(account, 2, retries="0")

    drain_here()

    assert [request.body for request in world.sent] == [b"0", b"1"]


def test_a_cancelled_message_lets_the_next_one_go(account):
    first, second = send_many(account, 2)

    cancel(stored(first))

    assert slots("line") == [second]


def test_a_delayed_message_holds_up_those_behind_it(account, world, clock: Clock):
    world.answers(200, 200)
    send(account, queue="line", delay="10s")
    send_many(account, 1)

    assert drain_here() == 0
    clock.advance("10s")
    assert drain_here() == 2


def test_more_parallelism_lets_those_go_that_waited_longest(account):
    ids = send_many(account, 4)

    queues.upsert(account, "line", parallelism=3)

    assert slots("line") == ids[:3]


def test_less_parallelism_takes_turns_back_from_those_that_are_not_under_way(account):
    queues.upsert(account, "line", parallelism=4)
    ids = send_many(account, 4)
    (lease,) = leases.claim(1)

    queues.upsert(account, "line", parallelism=2)

    assert Message.objects.get(pk=lease.message_id).token == lease.token
    assert slots("line") == ids[:2]


def test_a_paused_queue_starts_nothing_until_it_is_resumed(account, world):
    world.answers(200, 200)
    first, _ = send_many(account, 2)

    queues.pause(account, "line")
    send_many(account, 1)
    assert drain_here() == 0
    queues.resume(account, "line")
    assert slots("line") == [first]


def test_a_message_under_way_in_a_paused_queue_is_delivered(account, world):
    first, _ = send_many(account, 2)
    (lease,) = leases.claim(1)

    queues.pause(account, "line")

    assert slots("line") == [first]
    assert Message.objects.get(pk=lease.message_id).token == lease.token


def test_a_pause_does_not_cut_the_wait_before_a_retry_short(account, world, clock: Clock):
    world.answers(500, 200)
    send_many(account, 1)
    drain_here()

    queues.pause(account, "line")
    queues.resume(account, "line")

    assert drain_here() == 0
    clock.advance("12s")
    assert drain_here() == 1


def test_a_message_that_fails_in_a_paused_queue_waits_for_its_turn_again(account, world, clock):
    world.answers(500)
    send_many(account, 1)
    (lease,) = leases.claim(1)
    queues.pause(account, "line")

    delivery.deliver(lease)

    assert slots("line") == []


def test_a_worker_that_vanished_keeps_no_turn_in_a_paused_queue(account, clock: Clock):
    send_many(account, 1)
    leases.claim(1)
    clock.advance("1h")

    queues.pause(account, "line")

    assert leases.claim(1) == []


def test_a_deleted_queue_cancels_what_it_has_yet_to_deliver(account):
    ids = send_many(account, 2)

    queues.delete(account, "line")

    assert not Queue.objects.exists()
    assert not Message.objects.exists()
    assert [stored(each).status for each in ids] == [Publication.Status.CANCELED] * 2


def test_queues_of_one_name_in_two_accounts_are_two(account, other_account):
    first, second = send(account, queue="line"), send(other_account, queue="line")

    assert slots("line") == [first, second]
    assert queues.lag(queues.find_queue(account, "line")) == 1


@pytest.mark.parametrize(
    ("parallelism", "error"), [(0, InvalidInput), (1001, LimitExceeded)], ids=str
)
def test_a_parallelism_that_cannot_be_is_refused(account, parallelism, error):
    with pytest.raises(error):
        queues.upsert(account, "line", parallelism=parallelism)


def test_a_queue_has_a_name_that_fits_into_a_url(account):
    with pytest.raises(InvalidInput, match="the name of a queue"):
        send(account, queue="a/b")


@pytest.mark.parametrize("verb", [queues.pause, queues.resume, queues.delete])
def test_what_is_no_queue_cannot_be_changed(account, verb):
    with pytest.raises(NotFound):
        verb(account, "line")
