"""Working off what is due: threads that claim, deliver and settle until nothing is left.

Whoever hears the doorbell calls `drain()`. A thread that has finished a delivery claims for itself
and for those that are idle, so work goes on without another ring; a message is claimed only when a
thread is free to start on it. Of the deliveries that have to wait for an HTTP answer, a few wait in
their threads, in whose place others work meanwhile; further ones are handed over to
`engine.exchanges` and come back with their answers. While there are as many of both as there may
be, what needs no answer is claimed alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.db import connections

from workflows_app.conf import get_settings
from workflows_app.engine import delivery, leases
from workflows_app.engine.database import drop_broken_connections
from workflows_app.engine.exchanges import Exchanges
from workflows_app.engine.keeping import keeper
from workflows_app.engine.leases import Lease
from workflows_app.engine.ports import Exchange
from workflows_app.engine.processes import in_forked_children
from workflows_app.protocol.exchange import Answer

logger = logging.getLogger("workflows_app")

IDLE_LIMIT = 60.0
"""Seconds after which an idle thread ends and closes its database connection."""
DATABASE_PAUSE = 1.0
"""Seconds between attempts to claim while the database is away."""
CLAIM_LIMIT = 5.0
"""Seconds that a stop waits for a claim under way, beyond the grace of the steps in flight."""
GATHERING = 0.002
"""Seconds that a claim waits for more threads to become free while there is a backlog."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A delivery whose exchange has been made."""

    lease: Lease
    exchange: Exchange
    answer: Answer


class Crew:
    """The delivering threads of one process."""

    def __init__(
        self,
        size: int,
        claim: Callable[[int, Collection[str]], list[Lease]] = leases.claim,
        begin: Callable[[Lease, threading.Event], Exchange | None] = delivery.begin,
        *,
        exchanges: int | None = None,
    ) -> None:
        """As many exchanges as the settings say, unless it is told."""
        self._size = size
        self._most_exchanges = exchanges or get_settings().EXCHANGES
        self._exchanges = Exchanges()
        self._claim = claim
        self._begin = begin
        self._stopping = threading.Event()
        self._ending = threading.Lock()
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        # For those who wait for the threads: one that falls idle must not wake the others.
        self._settled = threading.Condition(lock)
        self._inbox: deque[Lease] = deque()
        self._answered: deque[Answered] = deque()
        self._exchanging = 0
        """Deliveries, begun and not settled yet, that wait for an answer or may come to do so."""
        self._threads = 0
        self._idle = 0
        self._waiting = 0
        """Threads that wait for the answer to a request of their own. They do not count as busy, so
        another may work meanwhile.
        """
        self._asked = False
        self._claiming = False
        self._backlog = False

    # -- from outside

    def ring(self) -> None:
        """There may be due work. Never blocks, never forgets: a busy crew looks when a thread is
        free.
        """
        with self._changed:
            if self._stopping.is_set():
                return
            self._asked = True
            if self._idle:
                self._changed.notify()
            elif self._may_add() and not self._claiming:
                self._add_thread()

    def settle_down(self, timeout: float) -> bool:
        """Wait until the ring has been answered: all that is due is claimed, or all threads are
        busy, or the crew stops.
        """
        with self._changed:
            return self._settled.wait_for(self._has_settled, timeout)

    def _has_settled(self) -> bool:
        answered = not (self._asked or self._claiming)
        return answered or self._busy() >= self._size or self._stopping.is_set()

    def wait_until_idle(self, timeout: float) -> bool:
        with self._changed:
            return self._settled.wait_for(
                lambda: not (self._asked or self._claiming or self._inbox or self._at_work()),
                timeout,
            )

    def stop(self, grace: float) -> None:
        """Claim no more, let what is in flight finish for `grace` seconds, give leases back.

        A process may be told to end in two ways at once: who comes second waits for the first.
        """
        self._stopping.set()
        with self._ending:
            self._stop(grace)

    def _stop(self, grace: float) -> None:
        with self._changed:
            self._changed.notify_all()
            self._settled.notify_all()
            self._settled.wait_for(lambda: not (self._at_work() or self._claiming), grace)
            # What a claim brings now would be lost until its lease runs out.
            self._settled.wait_for(lambda: not self._claiming, CLAIM_LIMIT)
            unstarted = list(self._inbox)
            self._inbox.clear()
        leases.give_back([*unstarted, *keeper().held()])

    # -- the threads

    def _busy(self) -> int:
        return self._up() - (1 if self._claiming else 0)

    def _up(self) -> int:
        """How many threads neither idle nor wait for an answer."""
        return self._threads - self._idle - self._waiting

    def _may_add(self) -> bool:
        return self._threads - self._waiting < self._size

    def _at_work(self) -> bool:
        return bool(self._busy() or self._exchanging)

    def _add_thread(self) -> None:
        self._threads += 1
        name = f"workflows-{self._threads}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # the system has none to give; the next ring tries again
            self._threads -= 1
            logger.exception("a worker thread could not be started")

    def _work(self) -> None:
        try:
            while (work := self._next()) is not None:
                if isinstance(work, Answered):
                    self._settle_one(work)
                else:
                    self._begin_one(work)
        finally:
            connections.close_all()
            with self._changed:
                self._threads -= 1
                self._settled.notify_all()

    def _begin_one(self, lease: Lease) -> None:
        keeper().keep(lease)
        handed_over = False
        with _logging_faults(lease):
            handed_over = self._deliver(lease)
        if not handed_over:
            self._finish(lease)

    def _deliver(self, lease: Lease) -> bool:
        """Whether an answer is waited for elsewhere: then the delivery is not over."""
        pending = self._begin(lease, self._stopping)
        if pending is None:
            return False
        if self._take_place_to_wait():
            self._exchange_here(lease, pending)
            return False
        self._exchanges.make(partial(self._exchange_one, lease, pending))
        return True

    def _take_place_to_wait(self) -> bool:
        """For this thread to make an exchange itself, and another to work meanwhile. There are few
        places; but to hand an exchange over and back takes longer than many an endpoint to answer.
        """
        with self._changed:
            if self._waiting >= self._size // 2:
                return False
            self._waiting += 1
            if self._has_work():
                self._wake_one()
            return True

    def _exchange_here(self, lease: Lease, pending: Exchange) -> None:
        try:
            answer = delivery.exchange(pending)
        finally:
            with self._changed:
                self._waiting -= 1
        delivery.settle(lease, pending, answer)

    def _exchange_one(self, lease: Lease, pending: Exchange) -> None:
        """In a thread of its own, which only waits for the answer."""
        answered = Answered(lease, pending, delivery.exchange(pending))
        with self._changed:
            self._answered.append(answered)
            self._wake_one()

    def _wake_one(self) -> None:
        if self._idle:
            self._changed.notify()
        elif self._may_add():
            self._add_thread()

    def _settle_one(self, work: Answered) -> None:
        with _logging_faults(work.lease):
            delivery.settle(work.lease, work.exchange, work.answer)
        self._finish(work.lease)

    def _finish(self, lease: Lease) -> None:
        keeper().release(lease)
        with self._changed:
            self._exchanging -= lease.may_exchange
            # It may have made something due: a retry, the answer to a call.
            self._asked = True

    def _next(self) -> Answered | Lease | None:
        """What this thread is to do next; None when it is to end. What has been answered is settled
        first, even by a crew that stops.
        """
        while True:
            with self._changed:
                if not self._await_work():
                    return None
                if self._answered:
                    return self._answered.popleft()
                if self._inbox:
                    lease = self._inbox.popleft()
                    self._exchanging += lease.may_exchange
                    return lease
                self._claiming = True
                self._asked = False
            found = self._claim_for_all()
            with self._changed:
                self._claiming = False
                self._inbox.extend(found)
                self._wake_others()

    def _await_work(self) -> bool:
        """Wait, holding the lock, until there is work or it is this thread's turn to claim."""
        while not self._stopping.is_set():
            if self._has_work() and self._up() <= self._size:
                return True
            self._idle += 1
            self._settled.notify_all()
            came = self._changed.wait(IDLE_LIMIT)
            self._idle -= 1
            if not came and not self._has_work():
                return False
        return bool(self._answered)

    def _has_work(self) -> bool:
        may_claim = self._asked and not self._claiming
        return bool(self._answered or self._inbox or may_claim)

    def _claim_for_all(self) -> list[Lease]:
        free, room = self._free()
        if self._backlog and free < self._size // 2:
            time.sleep(GATHERING)
            free, room = self._free()
        limit, kinds = (min(free, room), ()) if room > 0 else (free, leases.WITHOUT_EXCHANGE)
        try:
            found = self._claim(limit, kinds)
        except Exception:
            logger.exception("nothing could be claimed; trying again")
            connections.close_all()
            self._stopping.wait(DATABASE_PAUSE)
            self.ring_again()
            return []
        self._backlog = len(found) == limit
        if self._backlog:
            self.ring_again()
        return found

    def ring_again(self) -> None:
        with self._changed:
            self._asked = True

    def _free(self) -> tuple[int, int]:
        """How many threads are free, and how many exchanges may be begun."""
        with self._changed:
            claimed = sum(lease.may_exchange for lease in self._inbox)
            room = self._most_exchanges - self._exchanging - claimed
            return max(1, self._size - self._up() + 1), room

    def _wake_others(self) -> None:
        """One message is this thread's own; wake or add a thread for each other, and one to claim
        what came too late for this claim.
        """
        others = len(self._inbox) - 1 + int(self._asked)
        for _ in range(others - self._idle):
            if self._may_add():
                self._add_thread()
        self._changed.notify(max(0, others))
        self._settled.notify_all()


@contextmanager
def _logging_faults(lease: Lease) -> Iterator[None]:
    """Whatever it is: a thread that ended by it would go on holding its lease."""
    try:
        yield
    except BaseException:
        logger.exception("the delivery of message %s failed", lease.message_id)
    # A step may have met them on any database.
    drop_broken_connections()


_crew: Crew | None = None


def crew() -> Crew:
    """This process's crew, made at first use."""
    global _crew
    if _crew is None:
        _crew = Crew(get_settings().THREADS)
    return _crew


def _start_afresh() -> None:
    """The threads of a parent do not live on in a forked child."""
    global _crew
    _crew = None


in_forked_children(_start_afresh)


def drain(patience: float = 1.0) -> None:
    """Have all that is due claimed and worked on. Returns when that is so or all threads are busy;
    the deliveries themselves go on behind it."""
    this = crew()
    this.ring()
    this.settle_down(patience)


def drain_here(limit: int = 10_000) -> int:
    """Deliver in this thread until nothing is due, as tests do. How many were."""
    delivered = 0
    while delivered < limit and (found := leases.claim(1)):
        with keeper().keeping(found[0]):
            delivery.deliver(found[0])
        delivered += 1
    return delivered
