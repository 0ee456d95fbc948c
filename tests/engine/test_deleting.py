"""Deleting runs, whatever they are doing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.test_races import a_step
from workflows_app import Context, Workflow, workflow
from workflows_app.engine import leases, run_moves
from workflows_app.engine.deleting import delete
from workflows_app.engine.drain import drain_here
from workflows_app.engine.events import notify_run
from workflows_app.engine.turn_writes import insert_steps
from workflows_app.errors import Refused
from workflows_app.models import (
    Account,
    Attempt,
    DeadLetter,
    Event,
    Invocation,
    Message,
    Run,
    RunLabel,
    Step,
    Waiter,
)

pytestmark = pytest.mark.django_db

ROWS: tuple[Any, ...] = (
    Run,
    Step,
    Attempt,
    Message,
    RunLabel,
    DeadLetter,
    Waiter,
    Event,
    Invocation,
)


def test_nothing_of_a_run_is_left(registry: dict[str, Workflow], clock: Clock) -> None:
    @workflow("waits", retries=1, retry_delay="1h")
    def waits(context: Context) -> None:
        context.parallel(
            lambda: context.run("first", int),
            lambda: context.wait_for_event("second", "paid"),
            lambda: context.run("fails", lambda: 1 / 0),
        )

    waits.trigger(workflow_run_id="a", labels="north")
    run = Run.objects.get()
    notify_run(run, "other", b"1")
    drain_here()
    assert Step.objects.exists() and Waiter.objects.exists() and Attempt.objects.exists()

    delete(run)

    assert [rows.objects.count() for rows in ROWS] == [0] * len(ROWS)


def test_a_run_that_has_failed_leaves_the_dead_letter_queue(registry: dict[str, Workflow]) -> None:
    @workflow("fails", retries=0)
    def fails(context: Context) -> None:
        raise ZeroDivisionError

    fails.trigger()
    drain_here()

    delete(Run.objects.get())

    assert [rows.objects.count() for rows in ROWS] == [0] * len(ROWS)


def test_runs_in_whose_place_it_has_gone_on_go_too_and_others_stay(
    registry: dict[str, Workflow],
) -> None:
    @workflow("counts")
    def counts(context: Context) -> None:
        if context.request_payload < 3:
            context.continue_as_new(context.request_payload + 1)

    @workflow("other")
    def other(context: Context) -> None: ...

    counts.trigger(1, workflow_run_id="a")
    drain_here()
    other.trigger(workflow_run_id="a")
    counts.trigger(3, workflow_run_id="b")
    assert Run.objects.count() == 5

    delete(Run.objects.filter(workflow="counts", run_id="a").latest("pk"))

    assert set(Run.objects.values_list("workflow", "run_id")) == {("other", "a"), ("counts", "b")}


def test_a_worker_that_is_at_work_on_it_records_nothing_more(
    registry: dict[str, Workflow],
) -> None:
    @workflow("works")
    def works(context: Context) -> None: ...

    works.trigger()
    (lease,) = leases.claim(1)

    delete(Run.objects.get())

    assert insert_steps(lease, [a_step()]) == 0
    assert not Step.objects.exists()


@pytest.fixture
def family(registry: dict[str, Workflow]) -> tuple[Run, Run]:
    """A run, and the one for whose end it waits."""

    @workflow("child")
    def child(context: Context) -> None:
        context.sleep("nap", "1h")

    @workflow("parent")
    def parent(context: Context) -> None:
        context.invoke("child", workflow=child)
        context.sleep("nap", "1h")

    parent.trigger()
    drain_here()
    return Run.objects.get(workflow="parent"), Run.objects.get(workflow="child")


def test_a_run_for_which_another_waits_is_not_deleted_before_that_one_is_told(
    family: tuple[Run, Run],
) -> None:
    parent, child = family
    with pytest.raises(Refused, match="another run waits for the end of run"):
        delete(child)
    run_moves.cancel(child)
    with pytest.raises(Refused):
        delete(child)
    drain_here()

    delete(child)

    assert list(Run.objects.all()) == [parent]


def test_what_it_has_invoked_goes_on(family: tuple[Run, Run], account: Account) -> None:
    parent, child = family

    delete(parent)

    assert list(Run.objects.all()) == [child]
    assert Message.objects.get().run_id == child.pk
