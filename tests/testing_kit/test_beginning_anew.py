"""Runs that begin anew are followed by what the test holds of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shells import Define
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


async def counting(context: Any) -> Any:
    count = context.request_payload
    await context.run(f"count-{count}", lambda: count)
    await context.sleep("a-day", "1d")
    if count < 3:
        await context.continue_as_new(count + 1)
    return count


def test_a_run_is_looked_at_as_it_is_now(define: Define, flows: WorkflowTest):
    run = flows.start(define()(counting), 1)
    run.assert_steps("count-1", "a-day")

    flows.advance("1d")
    assert run.status == "running"
    run.assert_steps("count-2", "a-day")

    flows.advance_to_end(run)
    assert run.result == 3
    run.assert_steps("count-3", "a-day")


def test_it_is_one_run_whoever_asks(define: Define, flows: WorkflowTest):
    run = flows.start(define()(counting), 1, workflow_run_id="counting")
    flows.advance("1d")

    assert flows.run("counting") == run
    assert flows.runs() == [run]


def test_it_begins_anew_where_every_step_is_replayed(define: Define, flows: WorkflowTest):
    flows.always_replay()

    run = flows.start(define()(counting), 1)
    flows.advance_to_end(run)

    assert run.result == 3


def test_an_invoked_run_is_followed_as_well(define: Define, flows: WorkflowTest):
    child = define("child")(counting)

    @define("parent")
    async def parent(context: Any) -> Any:
        return (await context.invoke("count", workflow=child, body=1)).body

    run = flows.start(parent)
    invoked = run.invoked("count")
    flows.advance("1d")

    assert run.invoked("count") == invoked
    flows.advance_to_end(run)
    assert run.result == invoked.result == 3
