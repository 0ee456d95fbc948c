"""Which step a run is at, as its worker says whenever it renews its leases."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import only_run
from tests.shells import Define
from workflows_app.engine import leases
from workflows_app.engine.drain import drain_here
from workflows_app.engine.in_flight import steps_in_flight
from workflows_app.engine.keeping import keeper
from workflows_app.models import Message
from workflows_app.protocol.runs import StepInFlight

pytestmark = pytest.mark.django_db


def at_work() -> StepInFlight | None:
    run = only_run()
    return steps_in_flight(Message.objects.filter(run=run)).get(run.pk)


def test_a_step_is_known_from_the_next_renewal_until_it_has_ended(
    define: Define, clock: Clock
) -> None:
    seen: list[StepInFlight | None] = []
    began = []

    def work() -> None:
        began.append(clock.now)
        seen.append(at_work())
        clock.advance("7s")
        keeper().renew()
        seen.append(at_work())

    @define("long")
    async def long(context: Any) -> None:
        await context.run("charge", work)
        await context.run("charge", work)

    long.trigger()
    drain_here()

    first, second = began
    assert seen == [
        None,
        StepInFlight(key="charge", since=first),
        # The renewal is of before, and the step that it tells of has ended.
        None,
        StepInFlight(key="charge#2", since=second),
    ]
    assert at_work() is None


def test_each_attempt_is_known_by_its_own_beginning(define: Define, clock: Clock) -> None:
    seen: list[StepInFlight | None] = []

    def work() -> None:
        seen.append(at_work())
        clock.advance("1s")
        keeper().renew()
        seen.append(at_work())
        if len(seen) == 2:
            raise ConnectionError

    @define("stubborn", retries=1, retry_delay="1m")
    async def stubborn(context: Any) -> None:
        await context.run("charge", work)

    stubborn.trigger()
    first = clock.now
    drain_here()
    assert at_work() is None
    second = clock.advance("1m")
    drain_here()

    assert seen == [
        None,
        StepInFlight(key="charge", since=first),
        None,
        StepInFlight(key="charge", since=second),
    ]


def test_of_parallel_steps_one_that_is_in_flight_is_known(define: Define) -> None:
    seen = []

    def look() -> None:
        keeper().renew()
        seen.append(at_work())

    @define("parallel")
    async def parallel(context: Any) -> None:
        await context.parallel(*(lambda n=n: context.run(n, look) for n in ("left", "right")))

    parallel.trigger()
    drain_here()

    assert {step and step.key for step in seen} <= {"left@1", "right@2"}


def test_a_step_whose_worker_has_gone_is_in_flight_no_more(define: Define, clock: Clock) -> None:
    @define("gone")
    async def gone(context: Any) -> None: ...

    gone.trigger()
    (lease,) = leases.claim(1)
    at = StepInFlight(key="charge", since=clock.now)
    leases.renew([lease], {lease.message_id: at})
    assert at_work() == at

    clock.advance("1h")

    assert at_work() is None


def test_runs_at_work_have_recorded_what_others_are_at(define: Define, clock: Clock) -> None:
    @define("long")
    async def long(context: Any) -> None:
        await context.run("first", int, 1)
        await context.run("second", int, 2)
        await context.sleep("night", "1h")

    for run_id in ("early", "late"):
        long.trigger(workflow_run_id=run_id)
    drain_here()
    clock.advance("1h")
    early, late = leases.claim(2)
    at = {
        early.message_id: StepInFlight(key="first", since=clock.now),
        late.message_id: StepInFlight(key="second", since=clock.now),
    }
    leases.renew([early, late], at)

    assert steps_in_flight(Message.objects.all()) == {}
