"""Pauses that come at the same time as what they stop, with real commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.engine.reading import loaded, result_of
from tests.engine.test_races import PATIENCE, ScriptedPeer, at_once, peer
from workflows_app import Context, Workflow, notify, workflow
from workflows_app.engine import leases
from workflows_app.engine.delivery import deliver
from workflows_app.engine.drain import drain_here
from workflows_app.engine.pausing import pause, resume
from workflows_app.engine.states import State, state_of
from workflows_app.errors import RunEnded
from workflows_app.models import Run, Step

__all__ = ["peer"]

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6
STEPS = 8

begun: list[str] = []


@pytest.fixture(autouse=True)
def nothing_begun() -> None:
    begun.clear()


@workflow("pause-races-steps")
def steps(context: Context) -> int:
    for number in range(STEPS):
        context.run(f"step {number}", begun.append, context.workflow_run_id)
    return len(begun)


@workflow("pause-races-wait")
def waits(context: Context) -> Any:
    return context.wait_for_event("approval", "approved").event_data


@workflow("pause-races-call")
def calls(context: Context) -> int:
    return context.call("ask", url="https://peer.example").status


def started(story: Workflow) -> Run:
    return Run.objects.get(run_id=story.trigger().workflow_run_id)


def work() -> None:
    for lease in leases.claim(1):
        deliver(lease)


def paused(run: Run) -> State | None:
    """In which state it was then; None if it had ended."""
    try:
        return pause(run)
    except RunEnded:
        return None


def fresh(run: Run) -> State:
    return state_of(Run.objects.get(pk=run.pk))


def finish(run: Run) -> Any:
    resume(run)
    drain_here()
    return result_of(run)


def test_a_run_is_paused_before_it_is_claimed_or_after_a_step() -> None:
    for _ in range(ROUNDS):
        run = started(steps)

        _, state = at_once(work, partial[Any](paused, run))
        drain_here()

        assert (fresh(run) is State.PAUSED) is (state is not None)
        if state is not None:
            finish(run)
        assert Step.objects.filter(run=run).count() == STEPS == begun.count(run.run_id)


def test_no_step_begins_after_the_one_in_flight(registry: dict[str, Workflow]) -> None:
    at_work, told = threading.Event(), threading.Event()

    @workflow("pause-races-long")
    def long(context: Context) -> None:
        for number in range(STEPS):
            context.run(f"step {number}", count)

    def count() -> None:
        begun.append("a step")
        if len(begun) == 2:
            at_work.set()
            assert told.wait(PATIENCE)

    def pause_it() -> None:
        assert at_work.wait(PATIENCE)
        assert pause(run) is State.PAUSING
        told.set()

    run = started(long)
    at_once(work, pause_it)

    assert len(begun) == 2
    assert fresh(run) is State.PAUSED


def test_an_event_is_not_lost_by_a_pause() -> None:
    for _ in range(ROUNDS):
        run = started(waits)
        work()

        at_once(partial[Any](pause, run), partial[Any](notify, "approved", "yes"))
        drain_here()

        assert fresh(run) is State.PAUSED
        assert [loaded(step.result) for step in Step.objects.filter(run=run)] == [
            {"timeout": False, "data": '"yes"'}
        ]
        assert finish(run) == "yes"


def test_an_answer_is_not_lost_by_a_pause(peer: ScriptedPeer) -> None:
    for _ in range(ROUNDS):
        run = started(calls)
        work()
        (call,) = leases.claim(1)

        at_once(partial[Any](pause, run), partial[Any](deliver, call))
        drain_here()

        assert fresh(run) is State.PAUSED
        assert finish(run) == 200


@pytest.mark.parametrize("story", [steps, waits], ids=["due", "waiting"])
def test_of_pauses_and_resumptions_at_once_the_last_one_counts(story: Workflow) -> None:
    for _ in range(ROUNDS):
        run = started(story)
        if story is waits:
            work()
        verbs: list[Callable[[Run], State]] = [pause, resume, pause, resume]

        at_once(*[partial(verb, run) for verb in verbs])

        notify("approved", "yes")
        drain_here()
        if fresh(run) is State.PAUSED:
            finish(run)
        assert fresh(run) is State.SUCCEEDED


def test_what_is_parked_when_its_run_is_resumed_is_not_forgotten() -> None:
    for _ in range(ROUNDS):
        run = started(waits)
        work()
        pause(run)
        notify("approved", "yes")
        (turn,) = leases.claim(1)

        at_once(partial[Any](deliver, turn), partial[Any](resume, run))
        drain_here()

        assert result_of(run) == "yes"
