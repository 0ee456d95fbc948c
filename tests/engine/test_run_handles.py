"""Runs in the hands of Python code: to be asked about, paused, resumed, cancelled, restarted."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from tests.conftest import Clock
from tests.engine.reading import result_of
from workflows_app import Context, RunHandle, Workflow, get_run, workflow
from workflows_app.engine.creating import create
from workflows_app.engine.drain import drain_here
from workflows_app.errors import InvalidInput, RunEnded, RunNotFound
from workflows_app.models import Account, Run, Step
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db


@pytest.fixture
def nap(registry: dict[str, Workflow]) -> Workflow:
    @workflow("nap")
    def nap(context: Context) -> str:
        context.sleep("nap", "1h")
        return "rested"

    return nap


def test_a_run_is_paused_and_resumed_by_its_id(nap: Workflow, clock: Clock) -> None:
    run = get_run(nap.trigger(workflow_run_id="order-7").workflow_run_id)

    assert run == RunHandle(workflow_run_id="order-7")
    assert run.state == "queued"
    assert run.pause() == "paused"
    drain_here()
    assert run.state == "paused"
    assert run.resume() == "queued"
    drain_here()
    assert run.state == "waiting"
    clock.advance("1h")
    drain_here()
    assert run.state == "succeeded"
    assert result_of(Run.objects.get()) == "rested"


def test_what_a_run_is_told_takes_effect_with_the_transaction(nap: Workflow) -> None:
    run = get_run(nap.trigger().workflow_run_id)
    with transaction.atomic():
        run.pause()
        transaction.set_rollback(True)

    assert run.state == "queued"


def test_a_run_that_has_ended_is_told_nothing_more(nap: Workflow) -> None:
    run = get_run(nap.trigger().workflow_run_id)

    assert run.cancel() == "canceled"
    for verb in (run.pause, run.resume, run.cancel):
        with pytest.raises(RunEnded):
            verb()


def test_a_run_is_restarted_whole_or_from_a_step(
    registry: dict[str, Workflow], clock: Clock
) -> None:
    @workflow("order")
    def order(context: Context) -> int:
        count = context.run("count", Run.objects.count)
        context.sleep("nap", "1h")
        return count

    run = get_run(order.trigger().workflow_run_id)
    drain_here()
    assert run.restart("nap", kind="sleep") == "queued"
    drain_here()
    assert run.state == "waiting"
    assert run.restart() == "queued"
    drain_here()

    results = Step.objects.filter(key="count").order_by("pk").values_list("result", flat=True)
    assert list(results) == ["1", "1", "3"]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"step": "nap"}, 'has begun 0 steps of the kind "work" that are called "nap"'),
        ({"step": "nap", "kind": "rest"}, "of the kind work, sleep, wait, not 'rest'"),
    ],
)
def test_a_step_that_a_run_cannot_be_restarted_from_is_refused(
    nap: Workflow, target: dict[str, Any], sentence: str
) -> None:
    run = get_run(nap.trigger().workflow_run_id)
    drain_here()

    with pytest.raises(InvalidInput) as refusal:
        run.restart(**target)

    assert sentence in refusal.value.message
    assert run.state == "waiting"


def test_a_run_whose_id_is_its_workflow_s_own_is_named_with_that(
    nap: Workflow, account: Account
) -> None:
    @workflow("rest")
    def rest(context: Context) -> None: ...

    for name in ("nap", "rest"):
        request = RunRequest(
            url=f"https://app.example/{name}", workflow=name, run_id="order-7", named_within=True
        )
        create(account, [request])
    get_run("order-7", "nap").pause()

    paused = Run.objects.get(paused_at__isnull=False)
    assert paused.workflow == "nap"


def test_an_id_that_no_run_has_or_had_is_refused(nap: Workflow) -> None:
    nap.trigger(workflow_run_id="order-7")

    with pytest.raises(RunNotFound) as refusal:
        get_run("order-8")
    assert refusal.value.message == 'there is no run "order-8" in this account'
    with pytest.raises(RunNotFound) as refusal:
        get_run("order-7", "rest")
    assert refusal.value.message == 'there is no run "order-7" of workflow "rest" in this account'
