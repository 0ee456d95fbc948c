"""Branches that race, and maps, as a test sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shells import Define
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["as it comes", "always"], autouse=True)
def _replaying(request: pytest.FixtureRequest, flows: WorkflowTest) -> None:
    if request.param == "always":
        flows.always_replay()


async def offer(context: Any) -> Any:
    async def answered() -> Any:
        return (await context.wait_for_event("answer", "answered")).event_data

    async def asked() -> Any:
        return (await context.call("ask", url="https://app.example/", retries=1)).body

    async def too_late() -> str:
        await context.sleep("deadline", "6h")
        return "too late"

    won = await context.race(answered, asked, too_late)
    await context.sleep("think", "1h")
    return won


def test_an_event_may_be_first(define: Define, flows: WorkflowTest):
    flows.answer_call("ask", status=503)
    run = flows.start(define(retry_delay="12h")(offer))
    assert sorted(run.waits_for) == ["answer", "ask", "deadline"]

    flows.notify("answered", "yes", run=run)
    assert run.waits_for == ["think"]
    flows.advance("1h")

    assert run.result == "yes"
    run.assert_step("ask", error="Canceled")


def test_time_may_be_first(define: Define, flows: WorkflowTest):
    flows.answer_call("ask", status=503)
    run = flows.start(define(retry_delay="12h")(offer))

    flows.advance_to_end(run)

    assert run.result == "too late"
    run.assert_step("answer", error="Canceled")


def test_an_answer_may_be_first(define: Define, flows: WorkflowTest):
    flows.answer_call("ask", body="asked")

    run = flows.start(define()(offer))
    assert run.waits_for == ["think"]
    flows.advance_to_end(run)

    assert run.result == "asked"


@pytest.mark.parametrize("step", ["double", "double@2", "double@3"])
def test_a_map_goes_on_after_a_crash(define: Define, flows: WorkflowTest, step: str):
    @define()
    async def story(context: Any) -> Any:
        async def one(number: int) -> Any:
            return await context.run("double", lambda: number * 2)

        return await context.map(one, [1, 2, 3], concurrency=2)

    flows.crash_before_storing(step)

    assert flows.start(story).result == [2, 4, 6]
