"""What a test can see of a run, and say about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.shells import Define
from workflows_app import StepError
from workflows_app.errors import NotFound
from workflows_app.testing import RunUnderTest, Wait, WorkflowTest

pytestmark = pytest.mark.django_db


@pytest.fixture
def finished(define: Define, flows: WorkflowTest) -> RunUnderTest:
    @define("shop", retries=0)
    async def shop(context: Any) -> Any:
        await context.run("price", lambda: [1, 2])
        await context.run("mail", lambda: "a")
        await context.run("mail", lambda: "b")
        try:
            await context.run("ship", lambda: 1 / 0)
        except StepError as error:
            return error.error_type

    return flows.start(shop, workflow_run_id="shop-1")


def test_steps_are_listed_in_the_order_in_which_they_were_recorded(finished: RunUnderTest):
    assert [(step.name, step.key, step.kind, step.result) for step in finished.steps] == [
        ("price", "price", "run", [1, 2]),
        ("mail", "mail", "run", "a"),
        ("mail", "mail#2", "run", "b"),
        ("ship", "ship", "run", None),
    ]
    assert finished.step("mail#2").result == "b"
    error = finished.step("ship").error
    assert error is not None
    assert (error.type, error.message) == ("ZeroDivisionError", "division by zero")
    assert "1 / 0" in error.stack


def test_results_that_are_bytes_are_bytes_to_a_test_too(define: Define, flows: WorkflowTest):
    @define("draw")
    async def draw(context: Any) -> Any:
        drawn = await context.atomic("draw", lambda: b"\xff")
        event = await context.wait_for_event("colour", "coloured")
        return [drawn, event.event_data]

    run = flows.start(draw)
    flows.notify("coloured", {"by": b"\x00"})

    assert run.step("draw").result == b"\xff"
    assert run.result == [b"\xff", {"by": b"\x00"}]
    run.assert_step("draw", result=b"\xff")


def test_true_assertions_say_nothing(finished: RunUnderTest):
    finished.assert_steps("price", "mail", "mail", "ship")
    finished.assert_steps("price", "mail", "mail#2", "ship")
    finished.assert_step("price", result=[1, 2], attempts=1)
    finished.assert_step("ship", error=ZeroDivisionError)
    assert finished.result == "ZeroDivisionError"


STATE = 'run shop-1 of workflow "shop" has succeeded; its steps are "price", "mail", "mail", "ship"'


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["price"], '"price"'),
        (["price", "mail", "ship", "mail"], '"price", "mail", "ship", "mail"'),
        (["price", "mail", "mail", "ship", "more"], '"price", "mail", "mail", "ship", "more"'),
        ([], "none"),
    ],
)
def test_other_steps_than_expected_are_told(finished: RunUnderTest, names: list[str], said: str):
    with pytest.raises(AssertionError) as raised:
        finished.assert_steps(*names)

    assert str(raised.value) == f"the steps are not {said}: {STATE}"


@pytest.mark.parametrize(
    ("step", "expected", "said"),
    [
        ("gone", {}, f'step "gone" is not recorded: {STATE}'),
        ("price", {"result": 3}, 'step "price" has not returned 3: it returned [1, 2]'),
        (
            "ship",
            {"result": None},
            'step "ship" has not returned None: it failed by ZeroDivisionError: division by zero',
        ),
        ("price", {"attempts": 2}, 'step "price" ended at attempt 1, not 2'),
        (
            "price",
            {"error": ValueError},
            'step "price" has not failed by ValueError: it returned [1, 2]',
        ),
        (
            "ship",
            {"error": "KeyError"},
            'step "ship" has not failed by KeyError: it failed by ZeroDivisionError: division by '
            "zero",
        ),
    ],
)
def test_what_is_wrong_with_a_step_is_told(
    finished: RunUnderTest, step: str, expected: dict[str, Any], said: str
):
    with pytest.raises(AssertionError) as raised:
        finished.assert_step(step, **expected)

    assert str(raised.value) == said


def test_a_run_that_failed_has_no_result_and_tells_why_with_its_stack(
    define: Define, flows: WorkflowTest
):
    def broken() -> None:
        raise LookupError("no such city")

    @define("trip", retries=0)
    async def trip(context: Any) -> None:
        await context.run("book", broken)

    run = flows.start(trip, workflow_run_id="trip-1")

    with pytest.raises(AssertionError) as raised:
        assert run.result is None
    first, _, stack = str(raised.value).partition("\n\n")
    assert first == (
        'run trip-1 of workflow "trip" has failed: step "book": StepError: step "book" failed '
        'after 1 attempt: LookupError: no such city; its steps are "book", so it has no result'
    )
    assert 'raise LookupError("no such city")' in stack


def test_a_run_that_waits_has_no_result_and_tells_what_for(define: Define):
    @define("wait")
    async def wait(context: Any) -> None:
        await context.wait_for_event("approval", "approved", timeout="2d")

    with WorkflowTest(now=datetime(2030, 1, 2, 12, tzinfo=UTC)) as flows:
        run = flows.start(wait, workflow_run_id="wait-1")

        with pytest.raises(AssertionError) as raised:
            assert run.result is None

    assert str(raised.value) == (
        'run wait-1 of workflow "wait" waits for step "approval" (event "approved") until '
        "2030-01-04 12:00:00; its steps are none, so it has no result"
    )


def test_a_run_that_nobody_has_worked_on_is_due(define: Define, flows: WorkflowTest):
    @define("later")
    async def later(context: Any) -> None: ...

    later.trigger(workflow_run_id="later-1")

    assert repr(flows.run("later-1")) == (
        '<RunUnderTest: run later-1 of workflow "later" is due; its steps are none>'
    )


def test_a_function_that_is_to_be_tried_again_is_waited_for(define: Define, flows: WorkflowTest):
    @define("lottery", retries=1, retry_delay="1000")
    async def lottery(context: Any) -> int:
        if context.attempt == 1:
            raise RuntimeError("a mistake between two steps")
        return int(context.attempt)

    run = flows.start(lottery)

    assert run.waits == [Wait(step="", kind="retry", until=flows.now + timedelta(seconds=1))]
    assert "waits for the next attempt of the function until" in repr(run)
    flows.advance("1s")
    assert run.result == 2


def test_all_that_parallel_branches_wait_for_is_listed(define: Define, flows: WorkflowTest):
    @define("child")
    async def child(context: Any) -> None:
        await context.sleep("long", "1d")

    @define("many")
    async def many(context: Any) -> Any:
        return await context.parallel(
            lambda: context.sleep("nap", "1h"),
            lambda: context.wait_for_event("event", "go"),
            lambda: context.invoke("ask", workflow=child),
        )

    run = flows.start(many)

    assert [(wait.step, wait.kind) for wait in run.waits] == [
        ("nap", "sleep"),
        ("event", "wait"),
        ("ask", "invoke"),
    ]
    flows.advance("1h")
    assert run.waits_for == ["event", "ask"]


def test_an_ended_run_waits_for_nothing(finished: RunUnderTest):
    assert finished.waits == []


def test_a_step_that_invoked_nothing_has_no_run(finished: RunUnderTest):
    with pytest.raises(NotFound, match='no step "price" has started a run'):
        finished.invoked("price")


def test_handles_of_the_same_run_are_equal(finished: RunUnderTest, flows: WorkflowTest):
    assert {finished, flows.run("shop-1"), *flows.runs()} == {finished}
    assert finished.workflow_run_id == "shop-1"
    assert finished != flows.start("shop")
