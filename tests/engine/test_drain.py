"""The crew of a process: with scripted claims and deliveries, then with the engine's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from django.db import OperationalError, connections

from workflows_app import Context, workflow
from workflows_app.engine import clock, drain, leases
from workflows_app.engine.drain import Crew
from workflows_app.engine.keeping import keeper
from workflows_app.engine.leases import Lease
from workflows_app.models import Message, Run

stored = pytest.mark.django_db(transaction=True)

PATIENCE = 10
"""Seconds after which what should have happened has not."""


@workflow("drain-two-steps")
def two_steps(context: Context) -> int:
    return context.run("first", int, 1) + context.run("second", int, 1)


@workflow("drain-step-in-flight")
def step_in_flight(context: Context) -> None:
    context.run("first", in_flight.wait_here)
    context.run("second", int, 1)


class Gate:
    """A place where a step waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait_here(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE)


in_flight = Gate()


@pytest.fixture(autouse=True)
def fresh_gate() -> Iterator[None]:
    global in_flight
    in_flight = Gate()
    yield
    in_flight.opened.set()


_numbers = count(1_000_000)


def a_lease(kind: str = "turn") -> Lease:
    """Of a message that is nowhere stored."""
    number = next(_numbers)
    return Lease(
        message_id=number,
        kind=kind,
        key="",
        request="",
        token=f"token {number}",
        claims=1,
        wakes=0,
        owner=Run(pk=number),
    )


class Work:
    """What is due, and who is at work on what."""

    def __init__(self) -> None:
        self.due: list[Lease] = []
        self.limits: list[int] = []
        self.claims = 0
        self.lock = threading.Condition()
        self.at_work: list[Lease] = []
        self.done: list[Lease] = []
        self.most_at_work = 0
        self.hold_up = threading.Event()
        self.hold_up.set()
        self.on_claim: Callable[[], None] = lambda: None

    def claim(self, limit: int, kinds: Collection[str]) -> list[Lease]:
        with self.lock:
            self.claims += 1
            self.limits.append(limit)
            found = [lease for lease in self.due if not kinds or lease.kind in kinds][:limit]
            self.due = [lease for lease in self.due if lease not in found]
            self.lock.notify_all()
        self.on_claim()
        return found

    def deliver(self, lease: Lease, stopping: threading.Event) -> None:
        with self.lock:
            self.at_work.append(lease)
            self.most_at_work = max(self.most_at_work, len(self.at_work))
            self.lock.notify_all()
        self.hold_up.wait(PATIENCE)
        with self.lock:
            self.at_work.remove(lease)
            self.done.append(lease)
            self.lock.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> bool:
        with self.lock:
            return self.lock.wait_for(condition, timeout)


def expect(event: threading.Event) -> None:
    assert event.wait(PATIENCE)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.hold_up.set()


def await_end_of_threads() -> None:
    deadline = time.monotonic() + PATIENCE
    while threads := [each for each in threading.enumerate() if each.name.startswith("workflows-")]:
        assert time.monotonic() < deadline, threads
        time.sleep(0.01)


@contextmanager
def a_crew(size: int, work: Work) -> Iterator[Crew]:
    crew = Crew(size, work.claim, work.deliver)
    try:
        yield crew
    finally:
        work.hold_up.set()
        crew.wait_until_idle(PATIENCE)
        crew.stop(grace=PATIENCE)


def test_one_ring_has_all_that_is_due_worked_off(work: Work) -> None:
    work.due = [a_lease() for _ in range(50)]
    everything = list(work.due)

    with a_crew(4, work) as crew:
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == 50)

    assert sorted(work.done, key=lambda lease: lease.message_id) == everything


def test_no_more_is_claimed_or_worked_on_than_there_are_threads(work: Work) -> None:
    work.due = [a_lease() for _ in range(30)]

    with a_crew(4, work) as crew:
        for _ in range(10):
            crew.ring()
        assert work.wait_for(lambda: len(work.done) == 30)

    assert work.most_at_work <= 4
    assert max(work.limits) <= 4


def test_work_that_falls_due_while_a_delivery_goes_on_is_begun_beside_it(work: Work) -> None:
    work.hold_up.clear()
    work.due = [a_lease()]

    with a_crew(2, work) as crew:
        crew.ring()
        assert work.wait_for(lambda: len(work.at_work) == 1)
        work.due = [a_lease()]
        crew.ring()
        assert work.wait_for(lambda: len(work.at_work) == 2)


def test_a_ring_while_all_are_busy_is_remembered(work: Work) -> None:
    work.hold_up.clear()
    work.due = [a_lease(), a_lease()]

    with a_crew(2, work) as crew:
        crew.ring()
        assert work.wait_for(lambda: len(work.at_work) == 2)
        work.due = [a_lease()]
        crew.ring()
        work.hold_up.set()
        assert work.wait_for(lambda: len(work.done) == 3)


@pytest.mark.parametrize("threads_before", [1, 2])
def test_a_ring_during_a_claim_is_remembered(work: Work, threads_before: int) -> None:
    """The claim came too early for what the ring was about, and its own finding takes long."""
    with a_crew(3, work) as crew:
        work.due = [a_lease() for _ in range(threads_before)]
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == threads_before)
        assert crew.wait_until_idle(PATIENCE)

        work.hold_up.clear()

        def late() -> None:
            work.on_claim = lambda: None
            work.due = [a_lease()]
            crew.ring()

        work.on_claim = late
        work.due = [a_lease()]
        crew.ring()

        assert work.wait_for(lambda: len(work.at_work) == 2)


def test_a_claim_that_fails_in_an_unforeseen_way_does_not_end_the_crew(
    work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(drain, "DATABASE_PAUSE", 0.01)

    def fail_once() -> None:
        work.on_claim = lambda: None
        raise ZeroDivisionError

    work.on_claim = fail_once

    with a_crew(1, work) as crew:
        crew.ring()
        assert work.wait_for(lambda: work.claims == 1)
        work.due = [a_lease()]
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == 1)

    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_a_delivery_that_raises_does_not_end_its_thread(
    work: Work, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    work.due = [a_lease()]
    told = []

    def deliver(lease: Lease, stopping: threading.Event) -> None:
        told.append(lease)
        if len(told) == 1:
            raise error
        work.deliver(lease, stopping)

    crew = Crew(1, work.claim, deliver)
    crew.ring()
    assert crew.wait_until_idle(PATIENCE)
    work.due = [a_lease()]
    crew.ring()
    assert work.wait_for(lambda: len(work.done) == 1)
    crew.stop(grace=PATIENCE)

    assert error.__name__ in caplog.text
    assert not keeper().held()


def test_a_crew_that_got_no_threads_works_once_it_gets_them(
    work: Work, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    refused: list[threading.Thread] = []

    def refuse_twice(thread: threading.Thread) -> None:
        if len(refused) < 2:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_twice)
    work.due = [a_lease()]

    with a_crew(2, work) as crew:
        crew.ring()
        crew.ring()
        assert not crew.settle_down(0)
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == 1)

    assert "could not be started" in caplog.text


def test_while_the_database_is_away_the_crew_goes_on_trying_without_another_ring(
    work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(drain, "DATABASE_PAUSE", 0.01)

    def away() -> None:
        if work.claims < 4:
            raise OperationalError("server closed the connection unexpectedly")
        work.on_claim = lambda: None

    work.on_claim = away

    with a_crew(2, work) as crew:
        crew.ring()
        assert work.wait_for(lambda: work.claims == 4)
        work.due = [a_lease()]
        crew.ring()
        assert work.wait_for(lambda: len(work.done) == 1)


def test_threads_that_stay_idle_end_and_come_back_with_the_next_ring(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "IDLE_LIMIT", 0.05)
    with a_crew(3, work) as crew:
        for _ in range(3):
            work.due = [a_lease() for _ in range(3)]
            work.done = []
            crew.ring()
            assert work.wait_for(lambda: len(work.done) == 3)
            await_end_of_threads()


def test_settling_down_takes_until_all_that_is_due_is_claimed(work: Work) -> None:
    work.hold_up.clear()
    work.due = [a_lease()]

    with a_crew(2, work) as crew:
        crew.ring()
        assert crew.settle_down(PATIENCE)
        assert (work.due, crew.wait_until_idle(0)) == ([], False)
        work.hold_up.set()
        assert crew.wait_until_idle(PATIENCE)


def test_settling_down_takes_no_longer_than_until_all_threads_are_busy(work: Work) -> None:
    work.hold_up.clear()
    work.due = [a_lease() for _ in range(5)]

    with a_crew(2, work) as crew:
        crew.ring()
        assert crew.settle_down(PATIENCE)
        assert len(work.due) == 3


def test_settling_down_has_an_end(work: Work) -> None:
    held_up = threading.Event()

    work.on_claim = lambda: expect(held_up)

    with a_crew(2, work) as crew:
        crew.ring()
        assert not crew.settle_down(0.05)
        held_up.set()


# -- with the engine's own claims and deliveries


def due_now() -> set[int | None]:
    """The runs whose message anyone may claim."""
    return {found.run_id for found in Message.objects.filter(token=None, due_at__lte=clock.now())}


def stop(crew: Crew) -> None:
    try:
        crew.stop(PATIENCE)
    finally:
        connections.close_all()


@stored
def test_drain_has_everything_that_is_due_worked_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_crew", Crew(4))
    two_steps.trigger_many([None] * 20)

    drain.drain()
    assert drain.crew().wait_until_idle(PATIENCE)
    drain.crew().stop(grace=PATIENCE)

    assert set(Run.objects.values_list("status", "result")) == {("succeeded", "2")}


@stored
def test_stopping_lets_the_step_in_flight_finish_and_gives_the_rest_of_its_run_back() -> None:
    step_in_flight.trigger()
    crew = Crew(2)
    crew.ring()
    assert in_flight.reached.wait(PATIENCE)

    stopping = threading.Thread(target=stop, args=[crew])
    stopping.start()
    time.sleep(0.05)
    in_flight.opened.set()
    stopping.join(PATIENCE)

    run = Run.objects.get()
    assert list(run.steps.values_list("key", flat=True)) == ["first"]
    assert due_now() == {run.pk}


@stored
def test_stopping_gives_back_what_outlasts_its_grace() -> None:
    step_in_flight.trigger()
    crew = Crew(2)
    crew.ring()
    assert in_flight.reached.wait(PATIENCE)

    crew.stop(grace=0.05)

    assert due_now() == {Run.objects.get().pk}
    in_flight.opened.set()
    await_end_of_threads()
    assert not Run.objects.get().steps.exists()


@stored
def test_stopping_gives_back_what_a_claim_brings_meanwhile() -> None:
    two_steps.trigger_many([None] * 3)
    claimed, go_on = threading.Event(), threading.Event()

    def slow_claim(limit: int, kinds: Collection[str]) -> list[Lease]:
        found = leases.claim(limit, kinds)
        claimed.set()
        assert go_on.wait(PATIENCE)
        return found

    crew = Crew(4, slow_claim)
    crew.ring()
    assert claimed.wait(PATIENCE)
    stopping = threading.Thread(target=stop, args=[crew])
    stopping.start()
    time.sleep(0.05)
    go_on.set()
    stopping.join(PATIENCE)

    assert due_now() == set(Run.objects.values_list("pk", flat=True))


def test_who_stops_a_crew_second_waits_for_the_first(work: Work) -> None:
    work.due = [a_lease()]
    work.hold_up.clear()
    crew = Crew(2, work.claim, work.deliver)
    crew.ring()
    assert work.wait_for(lambda: len(work.at_work) == 1)
    first, second = (threading.Thread(target=crew.stop, args=[each]) for each in (PATIENCE, 0))
    first.start()
    time.sleep(0.05)

    second.start()
    second.join(0.1)

    assert second.is_alive()
    work.hold_up.set()
    first.join(PATIENCE)
    second.join(PATIENCE)
    assert not second.is_alive()


def test_a_crew_that_has_stopped_claims_nothing_more(work: Work) -> None:
    crew = Crew(2, work.claim, work.deliver)
    crew.stop(grace=PATIENCE)
    work.due = [a_lease()]

    crew.ring()
    assert crew.settle_down(0)
    time.sleep(0.1)

    assert len(work.due) == 1


def test_nobody_waits_for_a_crew_to_settle_down_that_stops(work: Work) -> None:
    held_up = threading.Event()
    work.on_claim = lambda: expect(held_up)
    crew = Crew(2, work.claim, work.deliver)
    crew.ring()
    settling = threading.Thread(target=crew.settle_down, args=[PATIENCE])
    settling.start()

    stopping = threading.Thread(target=crew.stop, args=[PATIENCE])
    stopping.start()
    settling.join(1)

    assert not settling.is_alive()
    held_up.set()
    stopping.join(PATIENCE)
