"""The doorbell carries nothing: whatever happens to its rings, every run ends, each step once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, connections

from workflows_app import Context, get_workflow, workflow
from workflows_app.engine import clock, drain
from workflows_app.models import Message, Run
from workflows_app.worker.doorbell import Doorbell

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 10
"""Seconds after which what should have happened has not."""
LONG = 3600
"""Seconds; a poll so rare that only a ring can explain what is heard."""

executed: Counter[str] = Counter()


@workflow("doorbell-nap", retries=0)
def nap(context: Context) -> None:
    for index in range(2):
        context.run(f"before-{index}", executed.update, [f"{context.workflow_run_id}:{index}"])
    context.sleep("nap", context.request_payload or timedelta(milliseconds=30))
    context.run("after", executed.update, [f"{context.workflow_run_id}:after"])


@pytest.fixture(autouse=True)
def nothing_executed() -> Iterator[None]:
    executed.clear()
    yield
    executed.clear()


def in_another_thread(work: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# -- what becomes of the rings on their way to a worker: how many arrive after each turn


def kept(rings: Iterator[bool]) -> Iterator[int]:
    for rang in rings:
        yield int(rang)


def lost(rings: Iterator[bool]) -> Iterator[int]:
    """Three of four."""
    heard = 0
    for rang in rings:
        heard += rang
        yield int(rang and heard % 4 == 0)


def doubled(rings: Iterator[bool]) -> Iterator[int]:
    for rang in rings:
        yield 2 * rang


def late(rings: Iterator[bool]) -> Iterator[int]:
    """Three turns after they rang."""
    waiting = [False] * 3
    for rang in rings:
        waiting.append(rang)
        yield int(waiting.pop(0))


def out_of_order(rings: Iterator[bool]) -> Iterator[int]:
    """Every ring is overtaken by the two after it."""
    waiting: list[bool] = []
    for rang in rings:
        waiting.append(rang)
        yield int(len(waiting) > 2 and waiting.pop(0))


def without_cause(rings: Iterator[bool]) -> Iterator[int]:
    for _ in rings:
        yield 1


@pytest.mark.parametrize("fault", [kept, lost, doubled, late, out_of_order, without_cause])
def test_a_ring_lost_doubled_late_or_out_of_order_changes_nothing(
    fault: Callable[[Iterator[bool]], Iterator[int]],
) -> None:
    bell = Doorbell()

    def rings() -> Iterator[bool]:
        deadline = time.monotonic() + PATIENCE
        started = 0
        while started < 12 or Run.objects.live().exists():
            assert time.monotonic() < deadline, "a run was left behind"
            if started < 12:
                nap.trigger(workflow_run_id=f"nap-{started}")
                started += 1
            yield bell.wait(0.02)

    for arriving in fault(rings()):
        for _ in range(arriving):
            drain.drain_here()

    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}
    assert len(executed) == 36
    assert set(executed.values()) == {1}
    assert not Message.objects.exists()


def test_a_trigger_of_another_connection_is_heard_long_before_the_next_poll(settings) -> None:
    settings.WORKFLOWS = {"FALLBACK_POLL": timedelta(seconds=LONG)}
    bell = Doorbell()
    assert not bell.wait(0.01)
    began = time.monotonic()

    trigger = in_another_thread(nap.trigger)
    heard = bell.wait(PATIENCE)

    assert heard
    assert time.monotonic() - began < PATIENCE / 2
    trigger.join()


def test_the_bell_is_silent_while_nothing_is_due() -> None:
    nap.trigger(delay="1h")
    began = time.monotonic()

    assert not Doorbell().wait(0.1)

    assert time.monotonic() - began >= 0.1


def test_it_rings_when_the_next_message_falls_due_and_not_before(settings) -> None:
    settings.WORKFLOWS = {"FALLBACK_POLL": timedelta(seconds=LONG)}
    due = clock.now() + timedelta(milliseconds=300)
    nap.trigger(not_before=due)

    assert Doorbell().wait(PATIENCE)

    assert timedelta() <= clock.now() - due < timedelta(seconds=PATIENCE / 2)


def test_it_rings_again_for_as_long_as_work_stays_due() -> None:
    nap.trigger()
    bell = Doorbell()

    assert [bell.wait(PATIENCE) for _ in range(4)] == [True] * 4


def test_it_falls_silent_when_the_work_was_claimed() -> None:
    nap.trigger("1h")
    bell = Doorbell()
    assert bell.wait(PATIENCE)

    drain.drain_here()

    assert Message.objects.get().due_at is not None  # asleep
    assert not bell.wait(0.05)


def test_a_lost_connection_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    bell = Doorbell()
    assert not bell.wait(0.01)
    raw = connection.connection
    assert raw is not None
    raw.close()

    answers = [bell.wait(0.05)]
    get_workflow("doorbell-nap").trigger()
    answers.append(bell.wait(PATIENCE))

    assert answers == [False, True]
    assert "the doorbell cannot reach the database; trying again" in caplog.text
