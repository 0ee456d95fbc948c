"""Which workers there are, as they say it themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.conftest import Clock
from tests.engine.test_keeping import wait_until
from workflows_app import Context, Workflow, workflow
from workflows_app.engine import leases, presence
from workflows_app.engine.keeping import keeper
from workflows_app.engine.presence import Presence
from workflows_app.models import Worker
from workflows_app.protocol.codec import decode_json


@pytest.fixture
def worker(db: None, clock: Clock) -> Presence:
    return Presence(threads=16)


def test_a_worker_is_alive_until_it_has_not_been_seen_for_a_while(worker: Presence, clock: Clock):
    worker.tell()
    began = clock.now

    clock.advance("40s")
    worker.tell()

    seen = presence.alive(clock.now).get()
    assert (seen.name, seen.threads) == (worker.name, 16)
    assert (seen.started_at, seen.seen_at) == (began, clock.now)

    clock.advance(presence.ALIVE)

    assert not presence.alive(clock.now).exists()


def test_a_worker_says_which_messages_it_delivers(worker: Presence, registry: dict[str, Workflow]):
    @workflow("story")
    def story(context: Context) -> None: ...

    story.trigger()
    (lease,) = leases.claim(1)
    with keeper().keeping(lease):
        worker.tell()

    assert decode_json(Worker.objects.get().at_work) == [lease.message_id]


def test_a_worker_that_ends_in_order_is_gone_at_once(worker: Presence):
    worker.tell()

    worker.end()

    assert not Worker.objects.exists()


def test_a_new_worker_forgets_those_that_have_not_been_seen_for_a_day(
    worker: Presence, clock: Clock
):
    worker.tell()
    clock.advance(timedelta(days=1, seconds=1))

    newer = Presence(threads=1)
    newer.tell()

    assert [each.name for each in Worker.objects.all()] == [newer.name]


@pytest.mark.django_db(transaction=True)
def test_a_process_is_seen_as_soon_as_it_begins_and_until_it_ends():
    presence.begin(4)
    try:
        wait_until(Worker.objects.exists)
    finally:
        presence.end()

    assert not Worker.objects.exists()
