"""Ending the live runs of a workflow, some at a time, by workers that may die."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import accumulate, repeat
from typing import Any

import pytest

from tests.conftest import Clock
from tests.shells import Define
from workflows_app import Workflow
from workflows_app.engine import clock as engine_clock
from workflows_app.engine import definitions, delivery, leases, terminating, triggering
from workflows_app.engine.definitions import is_terminating, terminate
from workflows_app.engine.drain import drain_here
from workflows_app.engine.pausing import pause
from workflows_app.engine.states import State
from workflows_app.errors import InvalidInput, UnknownWorkflow
from workflows_app.models import Account, Definition, Message, Run, Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def story(define: Define, clock: Clock) -> Workflow:
    @define(retries=0)
    async def story(context: Any) -> None:
        if context.request_payload == "begin anew":
            await context.sleep("nap", "1m")
            await context.continue_as_new("sleep")
        await context.sleep("long nap", "1d")

    return story


@pytest.fixture
def definition(story: Workflow, account: Account) -> Definition:
    return definitions.find_definition(account, "story")


def statuses() -> dict[str, str]:
    return dict(Run.objects.order_by("pk").values_list("run_id", "status"))


def test_all_live_runs_of_the_workflow_end_and_no_others(
    define: Define,
    story: Workflow,
    definition: Definition,
    account: Account,
    other_account: Account,
) -> None:
    @define("other")
    async def other(context: Any) -> None: ...

    for name in ("asleep", "paused"):
        story.trigger(workflow_run_id=name)
    drain_here()
    pause(Run.objects.get(run_id="paused"))
    story.trigger(workflow_run_id="queued")
    other.trigger(workflow_run_id="other's")
    triggering.trigger(other_account, [story.request(workflow_run_id="theirs")])

    terminate(definition)
    assert is_terminating(definition)
    story.trigger(workflow_run_id="later")
    drain_here()

    assert not is_terminating(definition)
    assert statuses() == {
        **dict.fromkeys(("asleep", "paused", "queued"), "canceled"),
        "other's": "succeeded",
        "theirs": "running",
        "later": "running",
    }


def test_only_runs_in_the_named_states_end(story: Workflow, definition: Definition) -> None:
    for name in ("asleep", "paused"):
        story.trigger(workflow_run_id=name)
    drain_here()
    pause(Run.objects.get(run_id="paused"))

    terminate(definition, [State.PAUSED, State.QUEUED])
    drain_here()

    assert statuses() == {"asleep": "running", "paused": "canceled"}


def test_what_is_asked_for_twice_is_done_for_both(story: Workflow, definition: Definition) -> None:
    for name in ("asleep", "paused"):
        story.trigger(workflow_run_id=name)
    drain_here()
    pause(Run.objects.get(run_id="paused"))

    terminate(definition, [State.PAUSED])
    terminate(definition, [State.WAITING])
    drain_here()

    assert set(statuses().values()) == {"canceled"}


def test_a_run_that_falls_due_while_its_worker_looks_is_not_missed(
    story: Workflow, definition: Definition, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited when the queued ones were looked up, and is queued when the waiting ones are."""
    story.trigger()
    drain_here()
    terminate(definition)
    (lease,) = leases.claim(1)

    moments = map(clock.now.__add__, accumulate(repeat(timedelta(hours=5))))
    monkeypatch.setattr(engine_clock, "now", partial(next, moments))
    terminating.settle(lease)

    assert set(statuses().values()) == {"canceled"}


def test_a_worker_that_dies_leaves_the_others_to_the_next(
    story: Workflow, definition: Definition, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminating, "BATCH", 2)
    story.trigger_many(range(5))
    drain_here()
    terminate(definition)
    (first,) = leases.claim(1)
    delivery.deliver(first)
    (lost,) = leases.claim(1)
    assert Run.objects.live().count() == 3

    assert drain_here() == 0
    clock.advance("1m")
    drain_here()
    delivery.deliver(lost)

    assert not Run.objects.live().exists()
    assert not Message.objects.exists()


def test_a_run_that_has_begun_anew_meanwhile_ends_too(
    story: Workflow, definition: Definition, clock: Clock
) -> None:
    story.trigger("begin anew", workflow_run_id="restless")
    drain_here()
    clock.advance("1m")
    terminate(definition)
    (turn,) = leases.claim(1)
    assert turn.kind == Message.Kind.TURN

    delivery.deliver(turn)
    drain_here()

    assert list(Run.objects.order_by("pk").values_list("status", flat=True)) == [
        "succeeded",
        "canceled",
    ]


def test_a_deleted_workflow_has_neither_runs_nor_schedules(
    story: Workflow, definition: Definition, account: Account
) -> None:
    definitions.update(account, "story", definitions.VersionOptions(crons=("0 * * * *",)))
    story.trigger(workflow_run_id="before")

    definitions.delete(definition)
    story.trigger(workflow_run_id="after")
    drain_here()

    with pytest.raises(UnknownWorkflow):
        definitions.find_definition(account, "story")
    assert not Schedule.objects.exists()
    assert statuses() == {"before": "canceled", "after": "running"}


def test_runs_that_have_ended_cannot_be_asked_for(definition: Definition) -> None:
    with pytest.raises(InvalidInput, match="not those that are failed"):
        terminate(definition, [State.WAITING, State.FAILED])

    assert not is_terminating(definition)
