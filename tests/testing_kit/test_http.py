"""Workflows that are reached over HTTP run in tests as well, without network."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pytest_django import Settings

from tests.shells import Define
from workflows_app.conf import get_settings
from workflows_app.testing import RunUnderTest, WorkflowTest

pytestmark = pytest.mark.django_db


async def story(context: Any) -> Any:
    paid = await context.run("charge", lambda amount: f"{amount} paid", context.request_payload)
    await context.sleep("nap", "1h")
    answer = await context.call("ask", url="https://app.example/")
    return [paid, answer.body]


def finish(flows: WorkflowTest, run: RunUnderTest) -> None:
    flows.answer_call("ask", body="asked")
    flows.advance_to_end(run)


def test_a_workflow_that_asks_for_http_is_delivered_as_on_the_wire(
    define: Define, flows: WorkflowTest
):
    run = flows.start(define(transport="http")(story), 12)

    finish(flows, run)

    assert run.result == ["12 paid", "asked"]
    run.assert_steps("charge", "nap", "ask")
    assert [each.step for each in flows.sent] == ["ask"]


def test_so_are_all_if_the_settings_say_so(define: Define, flows: WorkflowTest, settings: Settings):
    settings.WORKFLOWS = {"TRANSPORT": "http"}

    @define()
    async def atomic(context: Any) -> None:
        await context.atomic("write", lambda: None)

    run = flows.start(atomic)

    assert run.error is not None
    assert "context.atomic needs the local transport" in run.error.message


def test_steps_are_mocked_and_fail_as_ever(define: Define, flows: WorkflowTest):
    flows.mock_step("charge", calls=lambda amount: amount + 1)
    flows.fail_step("charge")

    run = flows.start(define(transport="http", retries=1, retry_delay="0")(story), 12)
    finish(flows, run)

    assert run.result == [13, "asked"]
    run.assert_step("charge", attempts=2)


@pytest.mark.parametrize("verb", ["crash_after", "crash_before_storing"])
@pytest.mark.parametrize("step", ["charge", "nap"])
def test_the_server_may_die_with_an_answer_in_its_hands(
    define: Define, flows: WorkflowTest, verb: str, step: str
):
    done = itertools.count(1)
    flows.mock_step("charge", calls=lambda _: next(done))
    getattr(flows, verb)(step)
    begun = flows.now

    run = flows.start(define(transport="http")(story), 12)

    assert flows.now == begun + get_settings().LEASE
    finish(flows, run)
    # Both are in one answer: they are stored, or lost, together.
    assert run.result == [1 if verb == "crash_after" else 2, "asked"]


def test_other_steps_in_a_replay_are_told(define: Define, flows: WorkflowTest):
    coin = itertools.cycle(["heads", "tails"])
    flows.always_replay()

    @define(transport="http")
    async def toss(context: Any) -> None:
        await context.run(f"pay-{next(coin)}", lambda: None)
        await context.run("rest", lambda: None)

    with pytest.raises(AssertionError, match="asked for other steps when it was replayed"):
        flows.start(toss)


def test_webhooks_can_be_called(define: Define, flows: WorkflowTest):
    @define(transport="http")
    async def waiting(context: Any) -> Any:
        webhook = await context.create_webhook("create")
        return (await context.wait_for_webhook("wait", webhook)).request.payload

    run = flows.start(waiting)
    flows.deliver_webhook(run, body=7)

    assert run.result == 7
