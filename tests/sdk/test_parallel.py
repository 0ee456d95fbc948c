"""Parallel branches: `context.parallel` in plain functions, `asyncio.gather` in async ones."""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Journal, assert_failed, finished
from tests.shells import Shell
from workflows_app import Context, StepError, workflow
from workflows_app.protocol.runs import Canceled, Suspended

PATIENCE = 10
"""Seconds after which a step that waits for another gives up."""


def step(context: Any, name: str, function: Any, *args: Any) -> Any:
    """A branch of one step."""
    return lambda: context.run(name, function, *args)


def test_branches_return_their_results_in_order(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.parallel(
            *(step(context, f"square-{number}", pow, number, 2) for number in range(5))
        )

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([0, 1, 4, 9, 16])
    assert rehearsal.turn() == finished([0, 1, 4, 9, 16])


def test_branches_work_at_the_same_time(rehearse: Rehearse) -> None:
    all_there = threading.Barrier(5, timeout=PATIENCE)

    async def story(context: Any) -> Any:
        branches = (step(context, "meet", all_there.wait) for _ in range(5))
        return sorted(await context.parallel(*branches))

    assert rehearse(story).play() == finished([0, 1, 2, 3, 4])


def test_a_hundred_branches_are_fine(rehearse: Rehearse) -> None:
    called = []

    def work(number: int) -> int:
        called.append(number)
        return number

    async def story(context: Any) -> Any:
        return await context.parallel(
            *(step(context, "work", work, number) for number in range(100))
        )

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished(list(range(100)))
    assert rehearsal.turn() == finished(list(range(100)))
    assert sorted(called) == list(range(100))
    assert len(rehearsal.recorded) == 100
    assert rehearsal.turns == 2


def test_the_same_name_in_every_branch_is_a_step_of_each(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def branch(number: int) -> Any:
            first = await context.run("count", lambda: number)
            second = await context.run("count", lambda: 10 * number)
            return first + second

        return await context.parallel(lambda: branch(1), lambda: branch(2))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([11, 22])
    assert rehearsal.recorded == {"count@1": 1, "count@1#2": 10, "count@2": 2, "count@2#2": 20}
    assert {step.branch for step in rehearsal.journal.steps} == {"1", "2"}


def test_branches_after_branches_and_steps_between_them_are_told_apart(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        first = await context.parallel(step(context, "a", int, 1), step(context, "a", int, 2))
        middle = await context.run("a", sum, first)
        return await context.parallel(step(context, "a", int, middle), step(context, "a", int, 4))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([3, 4])
    assert rehearsal.recorded == {"a@1": 1, "a@2": 2, "a": 3, "a@3": 3, "a@4": 4}
    assert rehearsal.turn() == finished([3, 4])


def test_branches_may_have_branches(rehearse: Rehearse) -> None:
    all_there = threading.Barrier(4, timeout=PATIENCE)

    def meet(number: int) -> int:
        all_there.wait()
        return number

    async def story(context: Any) -> Any:
        async def outer(number: int) -> Any:
            base = await context.run("base", lambda: 10 * number)
            inner = (step(context, "meet", meet, base + each) for each in (1, 2))
            return await context.parallel(*inner)

        return await context.parallel(lambda: outer(1), lambda: outer(2))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([[11, 12], [21, 22]])
    assert rehearsal.recorded == {
        "base@1": 10,
        "base@2": 20,
        "meet@1.1": 11,
        "meet@1.2": 12,
        "meet@2.1": 21,
        "meet@2.2": 22,
    }
    assert rehearsal.turn() == finished([[11, 12], [21, 22]])


def test_a_run_sleeps_in_its_branches_until_the_first_wakes(
    rehearse: Rehearse, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        async def nap(hours: int) -> Any:
            await context.sleep("nap", timedelta(hours=hours))
            return await context.run("rise", lambda: f"after {hours} h")

        return await context.parallel(lambda: nap(2), lambda: nap(1), lambda: nap(3))

    rehearsal = rehearse(story)

    for hours in (1, 2, 3):
        at = CREATED_AT + timedelta(hours=hours)
        assert rehearsal.turn() == Suspended(wake_at=at)
        clock.stop_at(at)
    assert rehearsal.turn() == finished(["after 2 h", "after 1 h", "after 3 h"])


def test_a_branch_that_fails_for_a_while_is_tried_again_alone(rehearse: Rehearse) -> None:
    called = []

    async def story(context: Any) -> Any:
        def flaky(number: int) -> int:
            called.append(number)
            if number == 2 and context.attempt < 3:
                raise OSError
            return number

        return await context.parallel(
            *(step(context, "work", flaky, number) for number in (1, 2, 3))
        )

    rehearsal = rehearse(story, retries=2, retry_delay="1000")

    assert rehearsal.play() == finished([1, 2, 3])
    assert sorted(called) == [1, 2, 2, 2, 3]


def test_a_branch_that_fails_raises_its_error_for_all(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise ConnectionError("no route")

        try:
            await context.parallel(step(context, "fine", int), step(context, "fail", fail))
        except StepError as error:
            return await context.run("note", "{0.key}: {0.error_message}".format, error)

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("fail@2: no route")
    assert set(rehearsal.recorded) == {"fine@1", "fail@2", "note"}
    assert rehearsal.turn() == finished("fail@2: no route")


def test_an_error_between_the_steps_of_a_branch_is_the_function_s_own(
    rehearse: Rehearse,
) -> None:
    async def story(context: Any) -> Any:
        async def branch() -> None:
            await context.run("fine", int)
            raise ValueError("broken")

        await context.parallel(branch, step(context, "other", int))

    rehearsal = rehearse(story, retries=1, retry_delay="1000")

    assert_failed(rehearsal.play(), "ValueError", "broken")
    assert [(each.key, each.number) for each in rehearsal.journal.attempts] == [("", 1), ("", 2)]


def test_without_branches_there_are_no_results(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.parallel()

    assert rehearse(story).play() == finished([])


def test_one_branch_is_a_branch_too(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.parallel(step(context, "only", int, 7))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished([7])
    assert rehearsal.recorded == {"only@1": 7}


def test_branches_work_one_after_the_other_where_they_may_have_no_threads(
    rehearse: Rehearse,
) -> None:
    """As within a transaction that a caller has open, which lives in one thread."""
    seen = []

    def look(number: int) -> int:
        seen.append(threading.get_ident())
        return number

    async def story(context: Any) -> Any:
        return await context.parallel(*(step(context, "look", look, each) for each in range(3)))

    rehearsal = rehearse(story)
    rehearsal.threads = False

    assert rehearsal.play() == finished([0, 1, 2])
    assert set(seen) == {threading.get_ident()}


def test_results_that_are_ready_together_are_stored_together(rehearse: Rehearse) -> None:
    """The more branches, the fewer commits each."""
    together = threading.Barrier(20, timeout=PATIENCE)

    async def story(context: Any) -> Any:
        await context.parallel(*(step(context, "meet", together.wait) for _ in range(20)))

    rehearsal = rehearse(story)
    rehearsal.journal.first_write_takes = 0.2
    rehearsal.play()

    assert len(rehearsal.recorded) == 20
    assert rehearsal.journal.writes < 20


def test_atomic_steps_of_branches_run_in_the_run_s_own_thread(rehearse: Rehearse) -> None:
    seen = []

    def look(number: int) -> int:
        seen.append(threading.get_ident())
        return number

    async def story(context: Any) -> Any:
        return await context.parallel(
            *(lambda number=number: context.atomic("look", look, number) for number in range(5))
        )

    assert rehearse(story).play() == finished([0, 1, 2, 3, 4])
    assert set(seen) == {threading.get_ident()}


def test_an_atomic_step_of_a_branch_fails_as_any_other(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise ValueError("full")

        try:
            await context.parallel(
                lambda: context.atomic("book", fail), step(context, "other", int)
            )
        except StepError as error:
            return f"{error.key}: {error.error_message}"

    assert rehearse(story).play() == finished("book@1: full")


class Gone(Journal):
    """A journal whose database is away."""

    def record(self, steps: Any, attempts: Any) -> Any:
        raise ConnectionError("the database is away")


@pytest.mark.parametrize("verb", ["run", "atomic"])
def test_what_the_journal_raises_ends_every_branch(verb: str, rehearse: Rehearse) -> None:
    called: list[int] = []

    async def story(context: Any) -> Any:
        async def branch(number: int) -> None:
            with suppress(BaseException):
                await getattr(context, verb)("first", int)
            await context.run("second", called.append, number)

        return await context.parallel(*(partial(branch, number) for number in range(5)))

    rehearsal = rehearse(story)
    rehearsal.journal = Gone()

    with pytest.raises(ConnectionError, match="the database is away"):
        rehearsal.turn()
    assert called == []


def test_what_the_journal_raises_of_a_failed_attempt_ends_the_turn(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise OSError

        with suppress(Exception):
            await context.run("fail", fail)
        return "went on"

    rehearsal = rehearse(story)
    rehearsal.journal = Gone()

    with pytest.raises(ConnectionError, match="the database is away"):
        rehearsal.turn()


# -- what only threads show


SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


def test_branches_see_the_context_variables_of_their_function(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    @workflow("story")
    def story(context: Context) -> list[str]:
        SEEN.set("of the function")
        return context.parallel(*(partial(context.run, "look", SEEN.get) for _ in range(2)))

    assert rehearse_workflow(story).play() == finished(["of the function"] * 2)


def test_a_branch_that_fails_waits_for_the_others_to_finish(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError("first")

    def slow() -> str:
        failed.wait(PATIENCE)
        return "finished all the same"

    @workflow("story")
    def story(context: Context) -> None:
        context.parallel(partial(context.run, "fail", fail), partial(context.run, "slow", slow))

    rehearsal = rehearse_workflow(story)

    assert_failed(
        rehearsal.play(), "StepError", 'step "fail" failed after 1 attempt: OSError: first'
    )
    assert rehearsal.recorded == {"fail@1": None, "slow@2": "finished all the same"}


def test_a_branch_that_fails_raises_although_another_waits(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    @workflow("story")
    def story(context: Context) -> str:
        def fail() -> None:
            raise OSError

        try:
            context.parallel(
                partial(context.run, "fail", fail), partial(context.sleep, "nap", "1d")
            )
        except StepError:
            return "did not wait"
        return "waited"

    rehearsal = rehearse_workflow(story)

    assert rehearsal.turn() == finished("did not wait")
    assert rehearsal.turn() == finished("did not wait")


def test_the_threads_of_branches_say_when_they_end(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    @workflow("story")
    def story(context: Context) -> Any:
        return context.parallel(*(partial(context.run, "work", int) for _ in range(5)))

    rehearsal = rehearse_workflow(story)
    rehearsal.play()

    assert rehearsal.thread_ends == 5


def test_many_branches_share_a_few_threads(registry: Any, rehearse_workflow: Rehearse) -> None:
    threads = set()

    @workflow("story")
    def story(context: Context) -> Any:
        look = lambda: threads.add(threading.get_ident())  # noqa: E731 - shortest so
        return context.parallel(*(partial(context.run, "look", look) for _ in range(100)))

    rehearsal = rehearse_workflow(story)
    rehearsal.play()

    assert 1 < len(threads) <= 32
    assert rehearsal.thread_ends == 32


@pytest.mark.parametrize("where", ["step", "atomic"])
def test_branches_inside_a_step_are_refused(
    where: str, registry: Any, rehearse_workflow: Rehearse
) -> None:
    @workflow("story")
    def story(context: Context) -> Any:
        verb = context.run if where == "step" else context.atomic
        return verb("outer", lambda: context.parallel(int, int))

    assert_failed(
        rehearse_workflow(story).play(),
        "StepError",
        'step "outer" failed after 1 attempt: StepMisuse: step "parallel" was called inside step '
        '"outer" of run wfr_1. Steps are called by the workflow function itself: return a value '
        "from the outer step and call the inner one after it.",
    )


def test_no_branches_are_opened_after_the_run_has_been_stopped(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    called: list[int] = []

    @workflow("story")
    def story(context: Context) -> Any:
        try:
            context.cancel()
        finally:
            context.parallel(partial(called.append, 1), partial(called.append, 2))

    assert rehearse_workflow(story).turn() == Canceled()
    assert called == []


def test_shells_agree_on_the_keys_of_branches(rehearse: Rehearse, shell: Shell) -> None:
    """A function may be rewritten from one to the other while its runs are in flight."""

    async def story(context: Any) -> Any:
        async def outer() -> Any:
            return await context.parallel(step(context, "a", int), step(context, "a", int))

        await context.run("a", int)
        await context.parallel(outer, step(context, "a", int))
        await context.run("a", int)

    rehearsal = rehearse(story)
    rehearsal.play()

    assert sorted(rehearsal.recorded) == ["a", "a#2", "a@1.1", "a@1.2", "a@2"]
