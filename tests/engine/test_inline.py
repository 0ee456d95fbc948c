"""Runs that the process which starts them works on itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import transaction

from tests.conftest import Clock
from tests.engine.reading import journal_of, only_run, result_of
from tests.engine.world import World
from tests.shells import Define
from workflows_app import FlowControlSpec, InlineRun, RunFailed
from workflows_app.engine.drain import drain_here
from workflows_app.engine.keeping import keeper
from workflows_app.errors import InsideTransaction, PayloadTooLarge, Refused
from workflows_app.models import DeadLetter, Message, Run

pytestmark = pytest.mark.django_db


def test_a_run_can_be_worked_on_where_it_is_started(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        return await context.run("double", lambda: 2 * context.request_payload)

    assert story.run(21, workflow_run_id="order-7", labels="vip") == InlineRun(
        workflow_run_id="order-7", status="succeeded", result=42
    )
    assert journal_of(only_run()) == {"double": 42}
    assert only_run().label_list == ["vip"]
    assert not Message.objects.exists()


def test_no_worker_can_take_it_meanwhile(define: Define) -> None:
    claimed = []

    @define()
    async def story(context: Any) -> Any:
        await context.run("look", lambda: claimed.append(drain_here()))
        await context.run("held", lambda: claimed.append(len(keeper().held())))

    story.run()

    assert claimed == [0, 1]
    assert keeper().held() == []


def test_a_run_that_fails_raises_and_is_in_the_dead_letter_queue(define: Define) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        def charge() -> None:
            raise ConnectionError("no funds")

        await context.run("charge", charge)

    with pytest.raises(RunFailed) as failure:
        story.run(workflow_run_id="order-7")

    assert failure.value.message == (
        'run order-7 failed: step "charge" failed after 1 attempt: ConnectionError: no funds'
    )
    assert failure.value.workflow_run_id == "order-7"
    assert DeadLetter.objects.count() == 1


def test_a_run_that_cancels_itself_says_so(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.cancel()

    assert story.run(workflow_run_id="order-7") == InlineRun(
        workflow_run_id="order-7", status="canceled", result=None
    )


@pytest.mark.parametrize("wait", ["sleep", "retry", "call"])
def test_a_run_that_has_to_wait_is_left_to_workers(
    wait: str, define: Define, world: World, clock: Clock
) -> None:
    @define(retries=1, retry_delay="3600000")
    async def story(context: Any) -> Any:
        def flaky() -> None:
            if context.attempt == 1:
                raise OSError

        if wait == "sleep":
            await context.sleep("nap", "1h")
        elif wait == "retry":
            await context.run("flaky", flaky)
        else:
            await context.call("ask", url="https://peer.example")
        return "done"

    assert story.run(workflow_run_id="order-7") == InlineRun(
        workflow_run_id="order-7", status="running", result=None
    )
    world.answers(200)
    clock.advance("1h")
    drain_here()
    assert result_of(only_run()) == "done"


def test_a_run_that_was_there_before_is_only_looked_at(define: Define, clock: Clock) -> None:
    called = []

    @define()
    async def story(context: Any) -> Any:
        called.append(1)
        await context.sleep("nap", "1h")
        return "rested"

    story.run(workflow_run_id="order-7")
    again = story.run(workflow_run_id="order-7")

    assert again == InlineRun(workflow_run_id="order-7", status="running", result=None)
    assert len(called) == 1
    assert Run.objects.count() == 1


def test_a_run_inside_a_transaction_is_refused(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        return "done"

    with pytest.raises(InsideTransaction) as refusal, transaction.atomic():
        story.run()

    assert refusal.value.message == (
        "An inline run must not begin inside a transaction: its steps could not be kept if it "
        "rolls back."
    )
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"delay": "1h"},
        {"not_before": "2031-01-01"},
        {"flow_control": FlowControlSpec(key="k", parallelism=1)},
    ],
    ids=["delay", "not before", "flow control"],
)
def test_a_run_that_may_not_begin_at_once_is_refused(
    options: dict[str, Any], define: Define
) -> None:
    @define()
    async def story(context: Any) -> Any:
        return "done"

    with pytest.raises(Refused) as refusal:
        story.run(**options)

    assert refusal.value.message == (
        "an inline run begins at once, in the caller's process: it has neither a delay nor flow "
        "control; use trigger, and have workers run it"
    )
    assert not Run.objects.exists()


def test_a_workflow_with_limits_cannot_be_run_inline_either(define: Define) -> None:
    @define(flow_control=FlowControlSpec(key="k", parallelism=1))
    async def story(context: Any) -> Any:
        return "done"

    with pytest.raises(Refused):
        story.run()


def test_what_cannot_become_a_run_is_refused(define: Define, settings: Any) -> None:
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 3}

    @define()
    async def story(context: Any) -> Any:
        return "done"

    with pytest.raises(PayloadTooLarge):
        story.run("too long")


def test_a_step_may_run_another_workflow_to_its_end(define: Define) -> None:
    @define("inner")
    async def inner(context: Any) -> Any:
        return await context.run("a-step", lambda: 2 * context.request_payload)

    @define("outer")
    async def outer(context: Any) -> Any:
        return await context.run("a-step", lambda: inner.run(21).result)

    assert outer.run().result == 42


@pytest.mark.django_db(transaction=True)
def test_a_run_is_worked_on_outside_of_tests_transactions_too(define: Define) -> None:
    threads = set()

    def look() -> None:
        threads.add(threading.get_ident())

    @define()
    async def story(context: Any) -> Any:
        await context.parallel(*(lambda: context.run("look", look) for _ in range(5)))
        return await context.atomic("count", Run.objects.count)

    assert story.run().result == 1
    assert threading.get_ident() not in threads


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_the_caller_is_noticed_outside_of_tests_transactions_too(
    define: Define,
) -> None:
    @define()
    async def story(context: Any) -> Any:
        return "done"

    with pytest.raises(InsideTransaction), transaction.atomic():
        story.run()
    assert story.run().result == "done"
