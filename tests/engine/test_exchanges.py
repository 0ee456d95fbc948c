"""Deliveries that wait for an HTTP answer hold no thread of the crew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.engine.test_drain import PATIENCE, Work, a_lease, await_end_of_threads, expect, work
from workflows_app.engine import ports
from workflows_app.engine.drain import Crew
from workflows_app.engine.exchanges import Exchanges
from workflows_app.engine.keeping import keeper
from workflows_app.engine.leases import Lease
from workflows_app.engine.ports import Exchange
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.worker.transport import WorkflowTransport

__all__ = ["work"]

pytestmark = pytest.mark.django_db(transaction=True)


class Peer(WorkflowTransport):
    """Answers each request when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Semaphore(0)
        self._lock = threading.Lock()
        self.under_way = 0
        self.most_under_way = 0

    def send(self, request: Outgoing) -> Answer:
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        self.asked.release()
        assert self.may_answer.acquire(timeout=PATIENCE)
        with self._lock:
            self.under_way -= 1
        return Answer(status=200, headers={}, body=request.body or b"")

    def is_asked(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.asked.acquire(timeout=PATIENCE)

    def answers(self, times: int = 1) -> None:
        for _ in range(times):
            self.may_answer.release()


@pytest.fixture
def peer() -> Iterator[Peer]:
    before, scripted = ports.get_transport(), Peer()
    ports.install_transport(scripted)
    yield scripted
    scripted.answers(500)
    ports.install_transport(before)


class Settled:
    """What was settled, in its order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.leases: list[Lease] = []

    def settle(self, lease: Lease) -> Callable[[Answer], None]:
        def settle(_: Answer) -> None:
            with self.changed:
                self.leases.append(lease)
                self.changed.notify_all()

        return settle

    def wait_for(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.leases) == count, PATIENCE)


@contextmanager
def a_crew(
    size: int, work: Work, settled: Settled, remote: list[Lease], exchanges: int = 100
) -> Iterator[Crew]:
    """Deliveries of `remote` are exchanges, all others are done in the crew's own threads."""

    def begin(lease: Lease, stopping: threading.Event) -> Exchange | None:
        if lease not in remote:
            work.deliver(lease, stopping)
            return None
        request = Outgoing(method="POST", url="", headers={}, body=None, timeout=timedelta(1))
        return Exchange(request=request, settle=settled.settle(lease))

    crew = Crew(size, work.claim, begin, exchanges=exchanges)
    try:
        yield crew
    finally:
        crew.stop(grace=0)
        await_end_of_threads()


SIZES = pytest.mark.parametrize("size", [1, 4])
"""A crew of one thread hands all exchanges over; in one of four, two threads make their own."""


@SIZES
def test_slow_answers_hold_up_nothing_else(work: Work, peer: Peer, size: int) -> None:
    slow, quick, settled = (
        [a_lease("delivery") for _ in range(20)],
        [a_lease() for _ in range(5)],
        Settled(),
    )
    work.due = [*slow, *quick]

    with a_crew(size, work, settled, slow) as crew:
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == 5)
        assert settled.leases == []
        assert {lease.token for lease in keeper().held()} >= {lease.token for lease in slow}

        peer.answers(20)
        assert settled.wait_for(20)
        assert crew.wait_until_idle(PATIENCE)
        assert keeper().held() == []


def test_threads_that_wait_for_answers_leave_as_many_others_at_work(work: Work, peer: Peer) -> None:
    slow, settled = [a_lease("delivery") for _ in range(10)], Settled()
    local = [a_lease() for _ in range(20)]
    work.hold_up.clear()
    work.due = [*slow, *local]

    with a_crew(4, work, settled, slow) as crew:
        crew.ring()
        peer.is_asked(10)
        assert work.wait_for(lambda: len(work.at_work) == 4)

        peer.answers(10)
        assert settled.wait_for(2)  # by those who waited, and have no room to go on now
        work.hold_up.set()
        assert settled.wait_for(10)
        assert crew.wait_until_idle(PATIENCE)

    assert len(work.done) == 20
    assert work.most_at_work == 4


def test_no_more_exchanges_are_begun_than_are_allowed_at_once(work: Work, peer: Peer) -> None:
    slow, settled = [a_lease("delivery") for _ in range(10)], Settled()
    work.due = list(slow)

    with a_crew(2, work, settled, slow, exchanges=3) as crew:
        crew.ring()
        peer.is_asked(3)
        assert crew.settle_down(PATIENCE)
        assert len(work.due) == 10 - 3
        peer.answers(10)
        assert settled.wait_for(10)

    assert peer.most_under_way == 3


def test_what_needs_no_exchange_is_worked_on_while_no_more_may_be_begun(
    work: Work, peer: Peer
) -> None:
    slow, settled = [a_lease("delivery") for _ in range(4)], Settled()
    work.due = list(slow)

    with a_crew(2, work, settled, slow, exchanges=3) as crew:
        crew.ring()
        peer.is_asked(3)
        work.due += [a_lease() for _ in range(20)]
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == 20)
        assert work.due == slow[3:]

        peer.answers(4)
        assert settled.wait_for(4)


@SIZES
def test_a_crew_that_stops_settles_what_is_answered_meanwhile(
    work: Work, peer: Peer, size: int
) -> None:
    slow, settled = [a_lease("delivery")], Settled()
    work.due = list(slow)
    stopped = threading.Event()

    with a_crew(size, work, settled, slow) as crew:
        crew.ring()
        peer.is_asked()

        def stop() -> None:
            crew.stop(grace=PATIENCE)
            stopped.set()

        threading.Thread(target=stop).start()
        peer.answers()
        expect(stopped)

    assert settled.leases == slow


@SIZES
def test_a_crew_that_stops_waits_for_no_answer_beyond_its_grace(
    work: Work, peer: Peer, size: int
) -> None:
    slow, settled = [a_lease("delivery")], Settled()
    work.due = list(slow)

    with a_crew(size, work, settled, slow) as crew:
        crew.ring()
        peer.is_asked()
        crew.stop(grace=0.01)
        assert settled.leases == []
        assert [lease.token for lease in keeper().held()] == [slow[0].token]
        peer.answers()
        assert settled.wait_for(1)


def test_threads_of_exchanges_are_used_again() -> None:
    exchanges, threads = Exchanges(), set()

    for _ in range(5):
        done = threading.Event()

        def exchange(done: threading.Event = done) -> None:
            threads.add(threading.get_ident())
            done.set()

        exchanges.make(exchange)
        expect(done)
        while not exchanges._idle:
            pass

    assert len(threads) == 1
