"""Code that changes while a run is in flight: what is noticed, and what is allowed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from tests.places import without_places
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, assert_failed, finished, loaded
from tests.shells import Define, Story
from workflows_app.protocol.runs import Failed, Suspended

WHAT_TO_DO = (
    "Code that runs in flight depend on must keep the order and names of the steps they have "
    "recorded: put the old code back and resume the run from the dead letter queue, or restart it "
    "to run all steps again with the new code."
)

Redeploy = Callable[[Story, Story], Rehearsal]


@pytest.fixture
def redeploy(define: Define, rehearse_workflow: Rehearse) -> Redeploy:
    """A run that has got as far as it can with the code before, and goes on with the code after."""

    def redeploy(before: Story, after: Story) -> Rehearsal:
        rehearsal = rehearse_workflow(define()(before), retries=3)
        assert isinstance(rehearsal.turn(), Suspended)
        rehearsal.rewrite(define()(after))
        return rehearsal

    return redeploy


def steps(*names: str) -> Story:
    """A function of these steps, which then sleeps for an hour."""

    async def story(context: Any) -> Any:
        for name in names:
            await context.run(name, lambda: None)
        await context.sleep("nap", "1h")

    return story


def mismatch(recorded: str, asked: str) -> str:
    return (
        f'run wfr_1 has recorded {recorded} where the code of workflow "story" now asks for '
        f"{asked}. {WHAT_TO_DO}"
    )


def unasked(key: str) -> str:
    return (
        f'run wfr_1 has recorded step "{key}", but the function ended without asking for it. '
        f"{WHAT_TO_DO}"
    )


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (steps("a", "x", "c"), mismatch('run step "b"', 'run step "x"')),
        (steps("a", "c"), mismatch('run step "b"', 'run step "c"')),
        (steps("b", "a", "c"), mismatch('run step "a"', 'run step "b"')),
        (steps("a", "b", "b", "c"), mismatch('run step "c"', 'run step "b#2"')),
        (steps("a", "b"), mismatch('run step "c"', 'sleep step "nap"')),
    ],
    ids=["renamed", "removed", "reordered", "inserted", "the last removed"],
)
def test_a_step_that_is_not_the_one_recorded_fails_the_run_at_once(
    after: Story, sentence: str, redeploy: Redeploy
) -> None:
    rehearsal = redeploy(steps("a", "b", "c"), after)

    assert_failed(rehearsal.turn(), "IncompatibleHistory", sentence)
    assert list(rehearsal.recorded) == ["a", "b", "c", "nap"], "nothing was done by the new code"


@pytest.mark.parametrize(
    ("verb", "arguments", "asked"),
    [
        ("atomic", ["wait", int], "atomic"),
        ("sleep", ["wait", "1s"], "sleep"),
        ("sleep_until", ["wait", 0], "sleep"),
        ("call", ["wait"], "call"),
    ],
    ids=["atomic", "sleep", "sleep_until", "call"],
)
def test_a_step_that_is_of_another_kind_than_recorded_fails_the_run_at_once(
    verb: str, arguments: list[Any], asked: str, redeploy: Redeploy
) -> None:
    url = {"url": "https://peer.example"} if verb == "call" else {}

    async def after(context: Any) -> Any:
        await getattr(context, verb)(*arguments, **url)

    rehearsal = redeploy(steps("wait"), after)

    assert_failed(
        rehearsal.turn(),
        "IncompatibleHistory",
        mismatch('run step "wait"', f'{asked} step "wait"'),
    )


def test_a_step_in_a_branch_that_is_not_the_one_recorded_fails_the_run_at_once(
    redeploy: Redeploy,
) -> None:
    called: list[int] = []

    def branches(name: str) -> Story:
        async def story(context: Any) -> Any:
            async def branch(number: int) -> Any:
                await context.run(name, called.append, number)
                await context.sleep("nap", "1h")

            return await context.parallel(lambda: branch(1), lambda: branch(2))

        return story

    rehearsal = redeploy(branches("old"), branches("new"))
    outcome = rehearsal.turn()

    assert isinstance(outcome, Failed)
    assert without_places(loaded(outcome.error)["message"]) in [
        mismatch(f'run step "old@{number}"', f'run step "new@{number}"') for number in (1, 2)
    ]
    assert sorted(called) == [1, 2]


def test_a_branch_that_is_gone_is_noticed_when_the_function_ends(redeploy: Redeploy) -> None:
    def branches(count: int) -> Story:
        async def story(context: Any) -> Any:
            def branch(number: int) -> Any:
                return lambda: context.run("work", lambda: number)

            await context.parallel(*(branch(number) for number in range(count)))
            if count == 3:
                await context.sleep("nap", "1h")

        return story

    rehearsal = redeploy(branches(3), branches(2))

    assert_failed(rehearsal.turn(), "IncompatibleHistory", unasked("work@3"))


def test_a_function_that_ends_before_its_recorded_steps_fails_the_run(redeploy: Redeploy) -> None:
    async def after(context: Any) -> Any:
        await context.run("a", lambda: None)
        return "done early"

    rehearsal = redeploy(steps("a", "b"), after)

    assert_failed(rehearsal.turn(), "IncompatibleHistory", unasked("b"))


def test_a_mismatch_that_the_function_swallows_fails_the_run_all_the_same(
    redeploy: Redeploy,
) -> None:
    called: list[int] = []

    async def after(context: Any) -> Any:
        try:
            await context.run("x", called.append, 1)
        except BaseException:  # noqa: BLE001 - what this is about
            try:
                await context.run("y", called.append, 2)
            except BaseException:  # noqa: BLE001 - what this is about
                return "swallowed"

    rehearsal = redeploy(steps("a"), after)

    assert_failed(rehearsal.turn(), "IncompatibleHistory", mismatch('run step "a"', 'run step "x"'))
    assert called == []


def test_steps_may_be_added_after_those_that_are_recorded(redeploy: Redeploy) -> None:
    async def after(context: Any) -> Any:
        await context.run("a", lambda: None)
        await context.sleep("nap", "2h")
        return await context.run("b", lambda: "added")

    rehearsal = redeploy(steps("a"), after)

    assert rehearsal.play() == finished("added")
    assert list(rehearsal.recorded) == ["a", "nap", "b"]


def test_what_a_step_does_may_change_while_runs_are_in_flight(redeploy: Redeploy) -> None:
    async def after(context: Any) -> Any:
        result = await context.options(retries=9).run("a", lambda: "another function")
        await context.sleep("nap", "1s")
        return result

    rehearsal = redeploy(steps("a"), after)

    assert rehearsal.play() == finished(None)


def test_with_the_old_code_put_back_the_run_can_go_on(redeploy: Redeploy, define: Define) -> None:
    rehearsal = redeploy(steps("a", "b"), steps("x"))
    rehearsal.turn()
    rehearsal.rewrite(define()(steps("a", "b")))

    assert rehearsal.play() == finished(None)


def test_a_mismatch_is_told_to_the_run_alone(
    redeploy: Redeploy, caplog: pytest.LogCaptureFixture
) -> None:
    """Not to the log of asyncio, as an error of a task that nobody looked at."""

    async def after(context: Any) -> Any:
        await context.parallel(
            lambda: context.run("x", lambda: None), lambda: context.run("y", lambda: None)
        )

    async def before(context: Any) -> Any:
        await context.parallel(
            lambda: context.run("a", lambda: None), lambda: context.sleep("nap", "1h")
        )

    assert isinstance(redeploy(steps("a"), steps("x")).turn(), Failed)
    assert isinstance(redeploy(before, after).turn(), Failed)
    gc.collect()

    assert caplog.record_tuples == []


# -- results


def priced_as_text() -> str:
    return "12 EUR"


def priced_as_number() -> int:
    return 12


def priced_in_parts() -> dict[str, int]:
    return {"EUR": 12}


def priced_perhaps() -> float:
    return None  # type: ignore[return-value]  # as functions do that have not been annotated with care


def pricing(function: Callable[[], Any]) -> Story:
    async def story(context: Any) -> Any:
        price = await context.run("price", function)
        await context.sleep("nap", "1h")
        return price

    return story


@pytest.mark.parametrize(
    ("after", "said"), [(priced_as_number, "int"), (priced_in_parts, "dict[str, int]")]
)
def test_a_step_that_returns_something_else_by_now_fails_the_run(
    redeploy: Redeploy, after: Callable[[], Any], said: str
) -> None:
    rehearsal = redeploy(pricing(priced_as_text), pricing(after))

    assert_failed(
        rehearsal.turn(),
        "IncompatibleHistory",
        'run wfr_1 has recorded for step "price" a result of type str, and '
        f"{after.__name__} now returns {said}. Put the old code back and resume the run from the "
        "dead letter queue, or restart it; give a step that returns something else a new name, "
        "behind context.patched.",
    )


def test_what_the_code_does_not_plainly_contradict_is_read_on(redeploy: Redeploy) -> None:
    for before, after in [
        (priced_as_number, priced_perhaps),
        (priced_perhaps, priced_as_text),
        (priced_as_text, lambda: 12),
        (priced_as_text, dict),
    ]:
        rehearsal = redeploy(pricing(before), pricing(after))
        assert rehearsal.play() == finished(before())
