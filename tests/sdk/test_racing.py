"""`context.race`: the first branch that ends gives the result, once and for all."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.conftest import Clock
from tests.places import without_places
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Journal, assert_failed, finished, loaded
from tests.shells import Shell
from workflows_app import AsyncContext, Context, StepError, Undo, workflow
from workflows_app.protocol.faults import is_cancellation
from workflows_app.protocol.runs import Canceled, Failed, StepKind, Suspended
from workflows_app.sdk.replay import Extent

PATIENCE = 10
"""Seconds after which a step that waits for another gives up."""


def sleeper(context: Any, name: str, duration: str) -> Any:
    """A branch that sleeps, and says who it is."""

    async def branch() -> str:
        await context.sleep(name, duration)
        return name

    return branch


def step(context: Any, name: str, function: Any, *args: Any) -> Any:
    return lambda: context.run(name, function, *args)


def test_the_first_branch_that_ends_gives_the_result(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.race(sleeper(context, "long", "2d"), sleeper(context, "short", "1h"))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("short")
    assert rehearsal.clock.now == CREATED_AT + timedelta(hours=1)
    assert rehearsal.turn() == finished("short")


def test_who_has_won_is_a_step_of_the_function(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.race(sleeper(context, "long", "2d"), sleeper(context, "short", "1h"))

    rehearsal = rehearse(story)
    rehearsal.play()

    race = rehearsal.journal.steps[-1]
    assert (race.key, race.name, race.kind, race.branch) == ("race", "race", "race", "")
    assert loaded(race.input) == {"branches": ["1", "2"]}
    assert loaded(race.result) == {"winner": "2"}
    assert (race.started_at, race.ended_at) == (CREATED_AT, rehearsal.clock.now)


def test_of_sleeps_that_ended_while_nobody_looked_the_one_that_ended_first_has_won(
    rehearse: Rehearse, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        return await context.race(
            sleeper(context, "two", "2h"),
            sleeper(context, "one", "1h"),
            sleeper(context, "three", "3h"),
        )

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("1d")

    assert rehearsal.turn() == finished("one")
    race = rehearsal.journal.steps[-1]
    assert race.ended_at == CREATED_AT + timedelta(hours=1)


def test_the_winner_stays_the_winner_when_another_could_have_ended_too(
    rehearse: Rehearse, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        first = await context.race(sleeper(context, "slow", "2h"), sleeper(context, "fast", "1h"))
        await context.sleep("meanwhile", "1d")
        return first

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("fast")
    assert clock.now == CREATED_AT + timedelta(hours=25)


def test_what_the_losers_wait_for_does_not_wake_the_run(rehearse: Rehearse, clock: Clock) -> None:
    async def story(context: Any) -> Any:
        await context.race(sleeper(context, "slow", "2h"), sleeper(context, "fast", "1h"))
        await context.sleep("meanwhile", "1d")

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("1h")

    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + timedelta(hours=25))


def test_what_the_losers_asked_for_in_the_same_turn_is_not_owed(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.race(
            lambda: context.call("ask", url="https://peer.example"),
            lambda: context.wait_for_event("wait", "approved"),
            lambda: context.invoke("other", workflow="https://peer.example/it"),
            lambda: context.notify("tell", "approved"),
            sleeper(context, "nap", "1s"),
            lambda: context.parallel(lambda: context.call("deep", url="https://peer.example")),
            step(context, "fast", int),
        )
        await context.sleep("meanwhile", "1d")

    assert rehearse(story).turn() == Suspended(wake_at=CREATED_AT + timedelta(days=1))


def test_a_race_between_calls_waits_for_the_first_answer(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def ask(host: str) -> Any:
            return (await context.call("ask", url=f"https://{host}.example")).body

        return await context.race(lambda: ask("slow"), lambda: ask("fast"))

    rehearsal = rehearse(story)
    outcome = rehearsal.turn()
    assert isinstance(outcome, Suspended)
    rehearsal.answer(outcome.calls[1], {"status": 200, "header": {}, "body": "there"})

    assert rehearsal.turn() == finished("there")
    rehearsal.answer(outcome.calls[0], {"status": 200, "header": {}, "body": "too late"})
    assert rehearsal.turn() == finished("there")


def test_an_exception_wins_and_is_raised(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def fail() -> None:
            raise ConnectionError("no route")

        try:
            await context.race(sleeper(context, "nap", "1h"), step(context, "fail", fail))
        except StepError as error:
            await context.sleep("later", "1d")
            return f"{error.key}: {error.error_message}"

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("fail@2: no route")
    assert rehearsal.turn() == finished("fail@2: no route")


def test_an_exception_that_no_step_raised_is_the_function_s_own(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def broken() -> None:
            await context.run("fine", int)
            raise ValueError("broken")

        await context.race(broken, sleeper(context, "nap", "1h"))

    rehearsal = rehearse(story, retries=1, retry_delay="1000")

    assert_failed(rehearsal.play(), "ValueError", "broken")
    assert rehearsal.clock.now == CREATED_AT + timedelta(seconds=1)


def test_a_step_that_is_to_be_tried_again_loses_to_one_that_succeeds(rehearse: Rehearse) -> None:
    called = []

    async def story(context: Any) -> Any:
        def flaky() -> None:
            called.append(context.attempt)
            raise OSError

        return await context.race(step(context, "flaky", flaky), sleeper(context, "nap", "90s"))

    rehearsal = rehearse(story, retries=5, retry_delay="60000")

    assert rehearsal.play() == finished("nap")
    assert called == [1, 2]


def test_a_win_is_found_again_after_a_crash_before_it_was_recorded(
    rehearse: Rehearse, clock: Clock
) -> None:
    """The winner's last step is stored; other branches have steps that could be called."""
    called: list[str] = []

    async def story(context: Any) -> Any:
        async def sleep_and_work() -> str:
            await context.sleep("nap", "1s")
            await context.run("work", called.append, "work")
            return "worked"

        return await context.race(sleep_and_work, step(context, "first", lambda: "first"))

    rehearsal = rehearse(story)
    rehearsal.journal = Forgetful()
    with pytest.raises(ConnectionError):
        rehearsal.turn()
    assert set(rehearsal.recorded) == {"nap@1", "first@2"}
    clock.advance("1h")

    assert rehearsal.turn() == finished("first")
    assert called == []


class Forgetful(Journal):
    """Its process ends before it can store who has won, the first time."""

    has_died = False

    def record(self, steps: Any, attempts: Any) -> Any:
        if not self.has_died and any(step.kind == "race" for step in steps):
            self.has_died = True
            raise ConnectionError("the process has ended")
        return super().record(steps, attempts)


def test_each_race_is_a_step_of_its_own(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        def race(first: str, other: str) -> Any:
            return lambda: context.race(
                sleeper(context, "nap", first), sleeper(context, "other", other)
            )

        one = await race("1h", "2h")()
        two = await race("2h", "1h")()
        return [one, two, *await context.parallel(race("1h", "2h"), race("3h", "1h"))]

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished(["nap", "other", "nap", "other"])
    races = {step.key: step.result for step in rehearsal.journal.steps if step.kind == "race"}
    assert {key: loaded(result)["winner"] for key, result in races.items()} == {
        "race": "1",
        "race#2": "4",
        "race@5": "5.1",
        "race@6": "6.2",
    }


def test_the_losers_of_a_race_within_a_race_do_not_count(rehearse: Rehearse, clock: Clock) -> None:
    """Its long sleep has been recorded, but the inner race was over before the outer one."""

    async def story(context: Any) -> Any:
        def inner() -> Any:
            return context.race(sleeper(context, "month", "30d"), sleeper(context, "hour", "1h"))

        return await context.race(sleeper(context, "day", "1d"), inner)

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("60d")

    assert rehearsal.turn() == finished("hour")
    assert rehearsal.turn() == finished("hour")


def test_a_branch_that_has_lost_need_not_ask_for_what_it_recorded(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def slow() -> None:
            await context.parallel(step(context, "deep", int), step(context, "deep", int))
            await context.run("one", int)
            await context.sleep("nap", "1d")

        return await context.race(slow, sleeper(context, "fast", "1h"))

    rehearsal = rehearse(story)

    assert rehearsal.play() == finished("fast")
    assert rehearsal.turn() == finished("fast")
    assert {"deep@1.1", "deep@1.2", "one@1", "nap@1"} <= set(rehearsal.recorded)


def test_other_branches_must_still_ask_for_all_that_they_recorded(rehearse: Rehearse) -> None:
    asked = [True]

    async def story(context: Any) -> Any:
        async def beside() -> None:
            if asked:
                await context.run("asked", int)

        first = await context.race(sleeper(context, "long", "2d"), sleeper(context, "short", "1h"))
        await context.parallel(beside, step(context, "other", int))
        await context.sleep("nap", "1h")
        return first

    rehearsal = rehearse(story)
    rehearsal.turn()
    rehearsal.clock.advance("1h")
    rehearsal.turn()
    asked.clear()

    outcome = rehearsal.play()

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "IncompatibleHistory"


def test_code_that_races_other_branches_than_it_did_does_not_fit(
    rehearse: Rehearse, clock: Clock
) -> None:
    hours = ["1h", "2h"]

    async def story(context: Any) -> Any:
        await context.race(*(sleeper(context, "nap", each) for each in hours))
        await context.sleep("later", "1h")

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("1h")
    rehearsal.turn()
    hours.append("3h")

    outcome = rehearsal.turn()

    assert isinstance(outcome, Failed)
    message = loaded(outcome.error)["message"]
    assert without_places(message).startswith(
        'run wfr_1 has recorded "race" of 2 branches where the code of workflow "story" now asks '
        'for "race" of 3 branches. Code that runs in flight depend on must keep'
    )


def test_a_branch_may_cancel_the_run(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        async def give_up() -> None:
            await context.sleep("patience", "1h")
            await context.cancel()

        return await context.race(give_up, sleeper(context, "long", "1d"))

    assert rehearse(story).play() == Canceled()


def test_a_branch_that_would_cancel_the_run_is_too_late_if_another_ended_before(
    rehearse: Rehearse, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        async def give_up() -> None:
            await context.sleep("patience", "2h")
            await context.cancel()

        return await context.race(give_up, sleeper(context, "short", "1h"))

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("1d")

    assert rehearsal.turn() == finished("short")


def test_a_race_is_worked_on_one_step_of_each_branch_at_a_time(rehearse: Rehearse) -> None:
    """As over HTTP."""

    async def story(context: Any) -> Any:
        async def steps(count: int) -> int:
            for _ in range(count):
                await context.run("work", int)
            return count

        return await context.race(lambda: steps(3), lambda: steps(2))

    rehearsal = rehearse(story)

    assert rehearsal.turn(Extent.ONE_BATCH) == Suspended(wake_at=CREATED_AT)
    assert set(rehearsal.recorded) == {"work@1", "work@2"}
    assert rehearsal.play(Extent.ONE_BATCH) == finished(2)


def test_a_race_without_branches_is_refused(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.race()

    assert_failed(
        rehearse(story).turn(),
        "StepMisuse",
        "context.race() without a branch has no winner; give it functions",
    )


def test_a_race_of_one_branch_is_won_by_it(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        return await context.race(sleeper(context, "only", "1h"))

    assert rehearse(story).play() == finished("only")


def test_a_race_inside_a_step_is_refused(rehearse: Rehearse, shell: Shell) -> None:
    async def story(context: Any) -> Any:
        if shell is Shell.SYNC:
            return await context.run("outer", lambda: context._context.race(int, int))

        async def outer() -> Any:
            return await context.race(int, int)

        return await context.run("outer", outer)

    outcome = rehearse(story).turn()

    assert isinstance(outcome, Failed)
    assert 'step "race" was called inside step "outer"' in loaded(outcome.error)["message"]


def test_without_threads_the_branches_come_one_after_the_other(
    rehearse: Rehearse, shell: Shell
) -> None:
    called: list[str] = []

    def work(name: str) -> str:
        called.append(name)
        return name

    async def story(context: Any) -> Any:
        return await context.race(
            sleeper(context, "nap", "1h"),
            step(context, "first", work, "first"),
            step(context, "second", work, "second"),
        )

    rehearsal = rehearse(story)
    rehearsal.threads = False

    assert rehearsal.play() == finished("first")
    assert shell is Shell.ASYNC or called == ["first"]


# -- branches that are at work when another wins


def test_a_race_does_not_wait_for_a_step_that_is_at_work(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    at_work, let_go = threading.Event(), threading.Event()

    def slow() -> str:
        at_work.set()
        let_go.wait(PATIENCE)
        return "slow"

    @workflow("story")
    def story(context: Context) -> Any:
        hidden = context.options(sensitive=True, timeout="1h")
        first = context.race(
            partial(hidden.run, "slow", slow), partial(context.run, "fast", at_work.wait, PATIENCE)
        )
        return [first, context.run("after", lambda: "went on")]

    rehearsal = rehearse_workflow(story)

    assert rehearsal.turn() == finished([True, "went on"])
    let_go.set()
    lost = next(step for step in rehearsal.journal.steps if step.key == "slow@1")
    assert (lost.result, is_cancellation(lost.error), lost.sensitive) == (None, True, True)
    assert loaded(lost.config)["timeout"] == 3_600_000


def test_what_a_loser_returns_is_dropped_and_its_thread_ends(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    at_work, let_go = threading.Event(), threading.Event()
    called: list[str] = []

    def slow() -> str:
        at_work.set()
        let_go.wait(PATIENCE)
        return "slow"

    @workflow("story")
    def story(context: Context) -> Any:
        def loser() -> None:
            context.run("slow", slow)
            context.run("next", called.append, "next")

        context.race(loser, partial(context.run, "fast", at_work.wait, PATIENCE))
        let_go.set()
        return context.parallel(*(partial(context.run, "after", int) for _ in range(3)))

    rehearsal = rehearse_workflow(story)
    before = threading.active_count()

    assert rehearsal.turn() == finished([0, 0, 0])
    wait_until(lambda: threading.active_count() <= before)
    assert called == []
    assert rehearsal.recorded["slow@1"] is None
    assert rehearsal.thread_ends == 5


def test_a_step_that_ended_just_too_late_is_shown_as_one_that_was_cut_short(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    at_work, decided = threading.Event(), threading.Event()
    late: list[threading.Thread] = []

    class Deciding(Journal):
        def record(self, steps: Any, attempts: Any) -> Any:
            if any(step.kind is StepKind.RACE for step in steps):
                decided.set()
            return super().record(steps, attempts)

    def slow() -> str:
        late.append(threading.current_thread())
        at_work.set()
        return "slow"

    def now() -> datetime:
        """What the step returned is known by then, and not handed over."""
        if threading.current_thread() in late:
            decided.wait(PATIENCE)
        return CREATED_AT

    @workflow("story")
    def story(context: Context) -> Any:
        return context.race(
            partial(context.run, "slow", slow), partial(context.run, "fast", at_work.wait, PATIENCE)
        )

    rehearsal = rehearse_workflow(story)
    rehearsal.journal = Deciding()

    assert rehearsal.turn(now=now) == finished(True)
    lost = next(step for step in rehearsal.journal.steps if step.key == "slow@1")
    assert (lost.result, is_cancellation(lost.error)) == (None, True)


def test_the_threads_of_a_race_end_when_a_branch_cancels_the_run(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    at_work, let_go = threading.Event(), threading.Event()

    def slow() -> None:
        at_work.set()
        let_go.wait(PATIENCE)

    @workflow("story")
    def story(context: Context) -> None:
        def giving_up() -> None:
            at_work.wait(PATIENCE)
            context.cancel()

        context.race(partial(context.run, "slow", slow), giving_up)

    rehearsal = rehearse_workflow(story)

    assert rehearsal.turn() == Canceled()
    let_go.set()
    wait_until(lambda: rehearsal.thread_ends == 2)


def wait_until(holds: Any) -> None:
    waited = threading.Event()
    for _ in range(PATIENCE * 100):
        if holds():
            return
        waited.wait(0.01)
    raise AssertionError("it never came to hold")


def test_the_tasks_of_losers_are_cancelled(registry: Any, rehearse_workflow: Rehearse) -> None:
    seen: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def fast() -> str:
        await asyncio.sleep(0.01)
        return "fast"

    @workflow("story")
    async def story(context: AsyncContext) -> Any:
        first = await context.race(
            lambda: context.run("slow", slow), lambda: context.run("fast", fast)
        )
        return [first, await context.run("after", lambda: list(seen))]

    rehearsal = rehearse_workflow(story)

    assert rehearsal.turn() == finished(["fast", ["cancelled"]])
    lost = next(step for step in rehearsal.journal.steps if step.key == "slow@1")
    assert is_cancellation(lost.error)


def test_coroutines_instead_of_functions_are_refused(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    @workflow("story")
    async def story(context: AsyncContext) -> Any:
        return await context.race(context.sleep("nap", "1h"))  # type: ignore[arg-type]  # is refused

    outcome = rehearse_workflow(story).turn()

    assert isinstance(outcome, Failed)
    message = loaded(outcome.error)["message"]
    assert message.startswith(
        "context.race takes functions, which it calls itself, as in "
        'context.race(lambda: context.sleep(...), ...); not <step "nap">'
    )


def test_a_function_of_an_async_race_that_returns_nothing_to_await_is_refused(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    @workflow("story")
    async def story(context: AsyncContext) -> Any:
        return await context.race(lambda: 5)  # type: ignore[arg-type, return-value]  # is refused

    assert_failed(
        rehearse_workflow(story).turn(),
        "StepMisuse",
        "the functions of context.race and context.map are `async def` in an async workflow, or "
        "return something to await; this one returned 5",
    )


# -- beside what else a function may ask for


@pytest.mark.parametrize(
    "extent", [Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH], ids=["turn", "delivery"]
)
def test_what_the_losers_have_done_is_undone_too(extent: Extent, rehearse: Rehearse) -> None:
    undone: list[tuple[str, bool]] = []

    def remember(undo: Undo) -> None:
        undone.append((undo.key, undo.finished))

    async def story(context: Any) -> Any:
        careful = context.options(rollback=remember)

        def fail() -> None:
            raise OSError

        async def book(pause: str) -> None:
            await careful.run("book", int)
            await context.sleep("pause", pause)

        await context.race(partial(book, "2h"), partial(book, "1h"))
        await context.sleep("later", "1d")
        await context.run("fail", fail)

    assert isinstance(rehearse(story).play(extent), Failed)
    assert sorted(undone) == [("book@1", True), ("book@2", True)]


def test_a_step_that_was_at_work_when_its_branch_lost_is_undone_as_one_that_was_cut_short(
    registry: Any, rehearse_workflow: Rehearse
) -> None:
    at_work, let_go = threading.Event(), threading.Event()
    undone: list[tuple[str, bool]] = []

    def slow() -> None:
        at_work.set()
        let_go.wait(PATIENCE)

    def remember(undo: Undo) -> None:
        undone.append((undo.key, undo.finished))

    @workflow("story")
    def story(context: Context) -> Any:
        careful = context.options(rollback=remember)
        context.race(
            partial(careful.run, "slow", slow), partial(context.run, "fast", at_work.wait, PATIENCE)
        )
        context.sleep("later", "1d")
        context.roll_back()

    rehearsal = rehearse_workflow(story)

    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + timedelta(days=1))
    let_go.set()
    assert rehearsal.play() == Canceled()
    assert undone == [("slow@1", False)]


def test_a_run_that_comes_to_a_change_after_a_race_follows_it(
    rehearse: Rehearse, clock: Clock
) -> None:
    """What the losers have recorded is not asked for, but lies behind."""

    async def story(context: Any) -> Any:
        async def loser() -> None:
            await context.run("work", int)
            await context.sleep("long", "30d")

        await context.race(loser, sleeper(context, "short", "1h"))
        await context.sleep("later", "1d")
        return await context.patched("change")

    assert rehearse(story).play() == finished(True)


@pytest.mark.parametrize("verb", ["continue_as_new", "roll_back"])
def test_a_branch_that_would_end_the_run_is_too_late_if_another_ended_before(
    verb: str, rehearse: Rehearse, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        async def give_up() -> None:
            await context.sleep("patience", "2h")
            await getattr(context, verb)()

        return await context.race(give_up, sleeper(context, "short", "1h"))

    rehearsal = rehearse(story)
    rehearsal.turn()
    clock.advance("1d")

    assert rehearsal.turn() == finished("short")


def test_a_race_has_no_options(rehearse: Rehearse) -> None:
    """Those of its context are for the steps that are called on it."""

    async def story(context: Any) -> Any:
        other = context.options(sensitive=True, rollback=print, retries=1)
        return await other.race(step(context, "first", int))

    assert rehearse(story).play() == finished(0)
