"""Each step may be followed by a replay, which shows what is not deterministic."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.places import without_places
from tests.shells import Define
from workflows_app import Callbacks, Middleware
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _always_replay(flows: WorkflowTest) -> None:
    flows.always_replay()


def test_the_function_begins_anew_after_each_step(define: Define, flows: WorkflowTest):
    begun = itertools.count(1)
    done: list[str] = []

    @define()
    async def story(context: Any) -> str:
        next(begun)
        await context.run("one", done.append, "one")
        await context.atomic("two", done.append, "two")
        await context.sleep("three", "0s")
        await context.run("four", done.append, "four")
        return "done"

    run = flows.start(story)

    assert run.result == "done"
    assert next(begun) == 1 + 4
    assert done == ["one", "two", "four"]
    run.assert_steps("one", "two", "three", "four")


def test_branches_take_one_step_each(define: Define, flows: WorkflowTest):
    begun = itertools.count(1)

    @define()
    async def story(context: Any) -> Any:
        next(begun)

        async def branch(name: str) -> list[Any]:
            return [await context.run(f"{name}-{number}", lambda: 1) for number in (1, 2)]

        return await context.parallel(lambda: branch("a"), lambda: branch("b"))

    run = flows.start(story)

    assert run.result == [[1, 1], [1, 1]]
    run.assert_steps("a-1", "b-1", "a-2", "b-2")
    assert next(begun) == 4


def test_other_steps_in_a_replay_fail_the_test_and_are_told(define: Define, flows: WorkflowTest):
    coin = itertools.cycle(["heads", "tails"])

    @define("toss")
    async def toss(context: Any) -> None:
        await context.run(f"pay-{next(coin)}", lambda: None)
        await context.run("rest", lambda: None)

    with pytest.raises(AssertionError) as raised:
        flows.start(toss, workflow_run_id="toss-1")

    assert without_places(str(raised.value)) == (
        'workflow "toss" asked for other steps when it was replayed: run toss-1 has recorded run '
        'step "pay-heads" where the code of workflow "toss" now asks for run step "pay-tails". '
        "What may differ from one time to the next (the time, random numbers, what the database or "
        "a global variable says) has to come from the result of a step."
    )


def test_so_do_steps_that_a_replay_leaves_out(define: Define, flows: WorkflowTest):
    first = itertools.chain([True], itertools.repeat(False))

    @define("forgetful")
    async def forgetful(context: Any) -> None:
        if next(first):
            await context.run("greet", lambda: None)

    with pytest.raises(AssertionError, match='has recorded step "greet", but the function ended'):
        flows.start(forgetful)


def test_what_accumulates_outside_of_steps_shows_in_the_result(define: Define, flows: WorkflowTest):
    total: list[int] = []

    @define()
    async def story(context: Any) -> int:
        for number in (1, 2, 3):
            total.append(await context.run("number", lambda number=number: number))
        return sum(total)

    assert flows.start(story).result > 6


def test_an_error_between_steps_is_retried_as_ever(define: Define, flows: WorkflowTest):
    @define(retries=1, retry_delay="1000")
    async def story(context: Any) -> Any:
        await context.run("one", lambda: 1)
        if context.attempt == 1:
            raise RuntimeError("between")
        return await context.run("two", lambda: 2)

    run = flows.start(story)
    assert run.status == "running"
    flows.advance("1s")

    assert run.result == 2


def test_failures_and_crashes_come_as_ever(define: Define, flows: WorkflowTest):
    @define(retries=1, retry_delay="0")
    async def story(context: Any) -> Any:
        return [await context.run(name, lambda: 1) for name in ("one", "two")]

    flows.fail_step("one")
    flows.crash_before_storing("two")
    run = flows.start(story)
    flows.advance_to_end(run)

    assert run.result == [1, 1]
    run.assert_step("one", attempts=2)


def test_a_run_begins_anew_only_after_a_replay(define: Define, flows: WorkflowTest):
    begun = itertools.count(1)

    @define()
    async def story(context: Any) -> Any:
        turns = next(begun)
        if context.request_payload == "again":
            return turns
        await context.run("one", lambda: None)
        return await context.continue_as_new("again")

    assert flows.start(story).result >= 3


def test_a_run_that_fails_by_a_step_fails_as_ever(define: Define, flows: WorkflowTest):
    @define(retries=0)
    async def story(context: Any) -> None:
        await context.run("one", lambda: 1)
        await context.run("two", lambda: 1 / 0)

    run = flows.start(story)

    assert run.status == "failed"
    run.assert_step("two", error=ZeroDivisionError)


def test_steps_that_only_a_replay_asks_for_are_told(define: Define, flows: WorkflowTest):
    is_first = itertools.chain([True], itertools.repeat(False))

    @define("eager")
    async def eager(context: Any) -> None:
        if not next(is_first):
            await context.run("more", lambda: None)

    with pytest.raises(AssertionError, match='"eager" asked for more steps when it was replayed'):
        flows.start(eager)


def test_another_end_is_told(define: Define, flows: WorkflowTest):
    is_first = itertools.chain([True], itertools.repeat(False))

    @define("moody")
    async def moody(context: Any) -> None:
        if not next(is_first):
            await context.cancel()

    with pytest.raises(AssertionError, match='"moody" ended otherwise when it was replayed'):
        flows.start(moody)


def test_a_run_may_cancel_itself(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> None:
        await context.run("one", lambda: 1)
        await context.cancel()

    assert flows.start(story).status == "canceled"


def test_middlewares_are_told_once(define: Define, flows: WorkflowTest):
    told: list[str] = []
    callbacks = Callbacks(
        run_started=lambda _: told.append("started"),
        before_execution=lambda event: told.append(event.step_name),
        run_completed=lambda _: told.append("completed"),
    )

    @define(middlewares=[Middleware("telling", callbacks=callbacks)])
    async def story(context: Any) -> None:
        await context.run("one", lambda: 1)
        await context.run("two", lambda: 2)

    flows.start(story)

    assert told == ["started", "one", "two", "completed"]
