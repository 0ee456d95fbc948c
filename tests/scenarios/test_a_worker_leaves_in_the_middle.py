"""Deploys and crashes: workers come and go while runs are at work, and nobody notices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from pytest_django import Settings

from tests.scenarios.workers import PATIENCE, Worker, at_work, ended, wait_until
from workflows_app import AsyncContext, Context, Workflow, workflow
from workflows_app.engine import leases
from workflows_app.engine.keeping import keeper
from workflows_app.models import Attempt, Message, Run, Step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def done() -> Counter[str]:
    """How often each step has done its work."""
    return Counter()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a step in the middle of the run waits for."""
    gate = threading.Event()
    try:
        yield gate
    finally:
        gate.set()


@pytest.fixture
def story(registry: dict[str, Workflow], done: Counter[str], gate: threading.Event) -> Workflow:
    @workflow("story")
    def story(context: Context) -> list[str]:
        def work(name: str) -> str:
            if name == "middle":
                gate.wait(PATIENCE)
            done[name] += 1
            return name

        first = context.run("first", work, "first")
        middle = context.run("middle", work, "middle")
        both = context.parallel(
            partial(context.run, "left", work, "left"), partial(context.run, "right", work, "right")
        )
        return [first, middle, *both]

    return story


def at_the_gate() -> bool:
    return Step.objects.filter(key="first").exists()


def test_a_worker_that_stops_lets_its_step_finish_and_another_goes_on(
    story: Workflow, done: Counter[str], gate: threading.Event
) -> None:
    story.trigger(workflow_run_id="order-7")
    leaving = Worker()
    wait_until(at_the_gate)

    stopping = threading.Thread(target=leaving.stop)
    stopping.start()
    wait_until(lambda: leaving.is_stopping)
    gate.set()
    stopping.join(PATIENCE)
    assert Run.objects.get().is_live
    assert Message.objects.get().token is None, "the lease was given back"
    with at_work():
        run = ended("order-7")

    assert run.result == '["first","middle","left","right"]'
    assert done == {"first": 1, "middle": 1, "left": 1, "right": 1}
    assert not Attempt.objects.exists()


def test_a_worker_that_dies_is_replaced_when_its_lease_has_run_out(
    story: Workflow, done: Counter[str], gate: threading.Event, settings: Settings
) -> None:
    settings.WORKFLOWS = {"LEASE": "0.5s"}
    story.trigger(workflow_run_id="order-7")
    (dead,) = leases.claim(1)
    assert keeper().held() == [], "nobody renews the lease of the dead"
    gate.set()
    with at_work():
        run = ended("order-7")

    assert run.status == "succeeded"
    assert set(done.values()) == {1}
    assert not Message.objects.filter(pk=dead.message_id).exists()


def has_recorded(steps: int) -> bool:
    return Step.objects.count() >= steps


def test_many_runs_are_passed_on_from_worker_to_worker(
    registry: dict[str, Workflow],
) -> None:
    done: Counter[str] = Counter()
    lock = threading.Lock()

    @workflow("many")
    async def many(context: AsyncContext) -> str:
        def work(name: str) -> str:
            with lock:
                done[name] += 1
            return name

        run_id = context.workflow_run_id
        await context.run("one", work, f"{run_id} one")
        await context.sleep("nap", timedelta(milliseconds=20))
        return await context.run("two", work, f"{run_id} two")

    many.trigger_many([None] * 40)
    for enough in (20, 40, 60, 80, 120):
        with at_work():
            wait_until(partial(has_recorded, enough))
    with at_work():
        wait_until(lambda: not Run.objects.live().exists())

    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Step.objects.count() == 120
    assert set(done.values()) == {1}
    assert not Message.objects.exists()
    assert not Attempt.objects.exists()
