"""`POST /v2/workflows/runs/{id}/restart`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.reading import journal_of
from tests.rest.conftest import Api, Register, answer_of
from workflows_app import Context
from workflows_app.engine import run_moves
from workflows_app.engine.addresses import serve_url
from workflows_app.models import Run
from workflows_app.protocol.codec import encode_json

RESTART = "/v2/workflows/runs/order-7/restart"
QUEUED = (200, {"workflowRunId": "order-7", "state": "queued"})


@pytest.fixture
def order(api: Api, registry: Register, work: Callable[[], int]) -> Run:
    """A run that has packed, paid, and sleeps."""

    @registry("order")
    def order(context: Context) -> None:
        context.run("pack", int)
        context.run("pay", int)
        context.sleep("nap", "1h")

    api.post(f"/v2/trigger/{serve_url('order')}", upstash_workflow_runid="order-7")
    work()
    return Run.objects.get()


def test_a_run_begins_again_under_its_id(api: Api, order: Run) -> None:
    assert answer_of(api.post(RESTART)) == QUEUED

    new = order.successors.get()
    assert (new.run_id, journal_of(new)) == ("order-7", {})


@pytest.mark.parametrize("ways", ["in the query", "in the body"])
def test_it_begins_with_a_step_that_is_named(ways: str, api: Api, order: Run) -> None:
    if ways == "in the query":
        answer = api.post(f"{RESTART}?step=nap&kind=sleep")
    else:
        answer = api.post(RESTART, '{"step": "nap", "kind": "sleep", "count": 1}')

    assert answer_of(answer) == QUEUED
    assert list(journal_of(order.successors.get())) == ["pack", "pay"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"step": "fly"}, 'has begun 0 steps of the kind "work" that are called "fly"'),
        ({"step": "pay", "count": 2}, "cannot begin again from number 2"),
        ({"step": "pay", "count": 0}, "cannot begin again from number 0"),
        ({"step": "pay", "count": "x"}, "count"),
        ({"step": "pay", "kind": "rest"}, "of the kind work, sleep, wait, not 'rest'"),
        ({"count": 2}, "name it as step"),
        ({"steps": "pay"}, "'steps' is not a filter here"),
        ({"step": ""}, "step is empty"),
    ],
)
def test_a_step_that_it_cannot_begin_with_changes_nothing(
    asked: dict[str, Any], sentence: str, api: Api, order: Run
) -> None:
    status, body = answer_of(api.post(RESTART, encode_json(asked)))

    assert status == 400
    assert sentence in body["error"]
    assert Run.objects.get().is_live


def test_a_run_that_is_rolled_back_is_refused(api: Api, order: Run) -> None:
    run_moves.cancel(order, roll_back=True)

    assert answer_of(api.post(RESTART)) == (
        400,
        {"error": "run order-7 is being rolled back: restart it once that has ended"},
    )


def test_a_run_of_nobody_or_of_another_account_is_not_found(
    api: Api, stranger: Api, order: Run
) -> None:
    for asking, run_id in ((api, "order-8"), (stranger, "order-7")):
        assert answer_of(asking.post(f"/v2/workflows/runs/{run_id}/restart")) == (
            404,
            {"error": f'there is no run "{run_id}" in this account'},
        )
    assert not order.successors.exists()
