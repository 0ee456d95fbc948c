"""What authors of class-based workflows have: docs/class-based.md."""

# mypy: disable-error-code="untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any

import pytest

from tests.shells import ClassStory, Shell, class_for
from workflows_app import Workflow, WorkflowEntrypoint, WorkflowTimeoutError, get_run
from workflows_app.models import Attempt, Step
from workflows_app.protocol.codec import decode_json
from workflows_app.testing import WorkflowTest

ONCE = {"retries": {"limit": 0, "delay": 0}}


@pytest.fixture
def define(shell: Shell, transport: Any, registry: dict[str, Workflow]) -> Any:
    def define(story: ClassStory, **options: Any) -> Workflow:
        return class_for(shell, story, "story", transport=transport, **options)

    return define


class Shop:
    """Functions for steps, and what was called."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def fail_twice(self, ctx: Any) -> int:
        self.did.append(f"attempt {ctx.attempt}")
        if ctx.attempt < 3:
            raise ConnectionError("busy")
        return int(ctx.attempt)

    def sell_out(self) -> None:
        raise LookupError("sold out")

    def undo(self, given: Any) -> None:
        error = f"{type(given.error).__name__}: {given.error}"
        self.did.append(f"undo {given.ctx.step.name}: {given.output} after {error}")


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_step_is_retried_by_its_policy_and_the_journal_has_it(
    define: Any, flows: WorkflowTest, shop: Shop
) -> None:
    async def story(event: Any, step: Any) -> Any:
        config = {"retries": {"limit": 3, "delay": "10 seconds"}, "timeout": "1 minute"}
        return await step.do("charge", shop.fail_twice, config)

    run = flows.start(define(story))
    began = flows.now
    flows.advance_to_end(run)

    assert run.result == 3
    assert shop.did == ["attempt 1", "attempt 2", "attempt 3"]
    assert (flows.now - began).total_seconds() == 10 + 20
    config = {
        "retries": {"limit": 3, "delay": 10_000, "backoff": "exponential"},
        "timeout": 60_000,
    }
    kept = [*Step.objects.values_list("config", flat=True)]
    kept += Attempt.objects.values_list("config", flat=True)
    assert [decode_json(each or "") for each in kept] == [config] * 3


def test_steps_find_the_results_that_they_need(define: Any, flows: WorkflowTest) -> None:
    async def story(event: Any, step: Any) -> Any:
        @step.do()
        def price() -> int:
            return int(event["payload"]["price"])

        @step.do()
        def tax(price: int) -> int:
            return price // 10

        @step.do("sum up", concurrent=True)
        def total(price: int, tax: int) -> int:
            return price + tax

        return await total()

    flows.always_replay()

    assert flows.start(define(story), {"price": 70}).result == 77


def test_events_are_taken_in_their_order_each_by_one_step(define: Any, flows: WorkflowTest) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.sleep("nap", "1 hour")
        first = await step.wait_for_event("first", "parcel")
        second = await step.wait_for_event("second", "parcel")
        third = await step.wait_for_event("third", "parcel")
        return [first.payload, second["payload"], third.payload, third.type]

    run = flows.start(define(story))
    flows.notify("parcel", {"n": 1}, run=run)
    flows.notify("letter", run=run)
    flows.notify("parcel", "two", run=run)
    flows.advance("1h")
    flows.notify("parcel", run=run)

    assert run.result == [{"n": 1}, "two", None, "parcel"]


def test_an_event_that_does_not_come_is_an_error_that_can_be_caught(
    define: Any, flows: WorkflowTest
) -> None:
    async def story(event: Any, step: Any) -> Any:
        try:
            await step.wait_for_event("approval", "approved", timeout="2 seconds")
        except WorkflowTimeoutError as error:
            await step.sleep("nap", "1 hour")
            return str(error)

    run = flows.start(define(story))
    flows.advance_to_end(run)

    assert run.result == "Execution timed out after 2000ms"


def test_a_failed_run_undoes_its_steps_the_latest_first(
    define: Any, flows: WorkflowTest, shop: Shop
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.parallel(
            lambda: step.do("reserve", lambda: "r-1", rollback=shop.undo),
            lambda: step.do("charge", lambda: "c-1", rollback={"rollback": shop.undo}),
        )
        await step.do("ship", shop.sell_out, ONCE)

    run = flows.start(define(story))
    flows.advance_to_end(run)

    assert run.error is not None
    assert (run.error.type, run.error.message, run.error.step) == (
        "LookupError",
        "sold out",
        "ship",
    )
    assert sorted(shop.did) == [
        "undo charge: c-1 after LookupError: sold out",
        "undo reserve: r-1 after LookupError: sold out",
    ]


def test_an_error_of_a_step_is_caught_by_its_name_after_a_crash(
    define: Any, flows: WorkflowTest, shop: Shop
) -> None:
    async def story(event: Any, step: Any) -> Any:
        try:
            await step.do("ship", shop.sell_out, ONCE)
        except LookupError as error:
            await step.do("tell", str)
            return f"{type(error).__name__}: {error}"

    made = define(story)
    flows.crash_after("ship")
    run = flows.start(made)
    flows.advance_to_end(run)

    assert run.result == "LookupError: sold out"


def test_a_run_that_is_terminated_may_undo_its_steps(
    define: Any, flows: WorkflowTest, shop: Shop
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("reserve", lambda: "r-1", rollback=shop.undo)
        await step.sleep("nap", "1 hour")

    run = flows.start(define(story))
    get_run(run.workflow_run_id).cancel(roll_back=True)
    flows.work()

    assert run.status == "canceled"
    assert shop.did == ["undo reserve: r-1 after Terminated: the run was terminated"]


def test_a_class_has_the_verbs_of_a_workflow(
    registry: dict[str, Workflow], flows: WorkflowTest
) -> None:
    class Order(WorkflowEntrypoint):
        def run(self, event: Any, step: Any) -> Any:
            return event.payload

    triggered = Order.trigger({"id": 7}, workflow_run_id="order-7")
    Order.trigger_many([1, 2], labels="many")

    assert Order.get("order-7").state == "queued"
    flows.work()
    assert triggered.workflow_run_id == "order-7"
    assert [run.result for run in flows.runs(Order.workflow)] == [{"id": 7}, 1, 2]
