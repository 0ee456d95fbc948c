"""What only async workflows have: tasks as branches, and awaiting what is not a step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import CREATED_AT, Rehearsal, assert_failed, finished, loaded
from workflows_app import AsyncContext, StepError, Workflow, workflow
from workflows_app.protocol.runs import Canceled, Failed, Suspended
from workflows_app.sdk.interrupts import Interrupt

AsyncStory = Callable[[AsyncContext], Any]
RehearseAsync = Callable[..., Rehearsal]


@pytest.fixture
def rehearse_async(registry: dict[str, Workflow], rehearse_workflow: Rehearse) -> RehearseAsync:
    """A run of an `async def`; keywords are fields of its `RunInfo`."""

    def rehearse_async(story: AsyncStory, **run: Any) -> Rehearsal:
        return rehearse_workflow(workflow("story")(story), **run)

    return rehearse_async


async def fail() -> None:
    raise ConnectionError("no route")


async def echo(value: Any) -> Any:
    return value


def test_a_step_may_be_an_async_function(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        return await context.run("echo", echo, {"by": "itself"})

    rehearsal = rehearse_async(story)

    assert rehearsal.play() == finished({"by": "itself"})
    assert rehearsal.recorded == {"echo": {"by": "itself"}}


def test_an_async_function_works_in_the_loop_and_a_plain_one_in_a_thread(
    rehearse_async: RehearseAsync,
) -> None:
    threads = {}

    async def in_loop() -> None:
        threads["async"] = threading.get_ident()

    def in_thread() -> None:
        threads["plain"] = threading.get_ident()

    async def story(context: AsyncContext) -> Any:
        threads["loop"] = threading.get_ident()
        await context.run("async", in_loop)
        await context.run("plain", in_thread)

    rehearse_async(story).play()

    assert threads["async"] == threads["loop"] != threads["plain"]


def test_an_atomic_step_must_be_a_plain_function(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        return await context.atomic("book", echo, 1)

    assert_failed(
        rehearse_async(story).turn(),
        "StepMisuse",
        'step "book" of run wfr_1 was given echo, which is async, but context.atomic takes a plain '
        "function, because a transaction of Django lives in one thread. Write it without async.",
    )


# -- gather


def test_gather_may_return_exceptions(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        results = await asyncio.gather(
            context.run("fine", echo, 1), context.run("fail", fail), return_exceptions=True
        )
        return [str(result) for result in results]

    rehearsal = rehearse_async(story)
    outcome = finished(["1", 'step "fail" failed after 1 attempt: ConnectionError: no route'])

    assert rehearsal.play() == outcome
    assert rehearsal.turn() == outcome


def test_gather_never_returns_an_interrupt(rehearse_async: RehearseAsync, clock: Clock) -> None:
    seen: list[Any] = []

    async def story(context: AsyncContext) -> Any:
        results = await asyncio.gather(
            context.sleep("nap", "1h"),
            context.call("ask", url="https://peer.example"),
            context.options(retries=1).run("fail", fail),
            context.run("fine", echo, 1),
            return_exceptions=True,
        )
        seen.extend(results)
        return len(results)

    rehearsal = rehearse_async(story, retry_delay="1000")
    rehearsal.respond = lambda call: {"status": 200, "header": {}, "body": ""}

    assert isinstance(rehearsal.turn(), Suspended)
    assert rehearsal.play() == finished(4)
    assert not any(isinstance(result, Interrupt) for result in seen)
    assert [type(result).__name__ for result in seen] == [
        "NoneType",
        "CallResponse",
        "StepError",
        "int",
    ]


def test_a_run_that_cancels_itself_passes_through_gather(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        await asyncio.gather(
            context.cancel(), context.run("other", echo, 1), return_exceptions=True
        )
        return "went on"

    assert rehearse_async(story).turn() == Canceled()


def test_the_first_error_of_gather_is_raised_while_another_branch_waits(
    rehearse_async: RehearseAsync,
) -> None:
    async def story(context: AsyncContext) -> Any:
        try:
            await asyncio.gather(context.sleep("nap", "1d"), context.run("fail", fail))
        except StepError as error:
            return await context.run("note", echo, error.error_message)

    rehearsal = rehearse_async(story)

    assert rehearsal.turn() == finished("no route")
    assert rehearsal.turn() == finished("no route")


# -- task groups


def test_a_task_group_is_a_group_of_branches(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        async def branch(number: int) -> Any:
            await context.sleep("nap", timedelta(hours=number))
            return await context.run("square", echo, number * number)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(number)) for number in (1, 2, 3)]
        return [task.result() for task in tasks]

    rehearsal = rehearse_async(story)

    assert rehearsal.play() == finished([1, 4, 9])
    assert rehearsal.turns == 4
    assert rehearsal.turn() == finished([1, 4, 9])


def test_a_task_group_raises_the_errors_of_its_steps(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(context.run("fine", echo, 1))
                group.create_task(context.run("fail", fail))
                group.create_task(context.sleep("nap", "1d"))
        except ExceptionGroup as errors:
            return await context.run("note", echo, [str(error) for error in errors.exceptions])

    rehearsal = rehearse_async(story)
    outcome = finished(['step "fail" failed after 1 attempt: ConnectionError: no route'])

    assert rehearsal.turn() == outcome
    assert rehearsal.turn() == outcome


def test_an_unhandled_group_of_errors_fails_the_run_and_names_the_step(
    rehearse_async: RehearseAsync,
) -> None:
    async def story(context: AsyncContext) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(context.run("fail", fail))

    rehearsal = rehearse_async(story, retries=1, retry_delay="0")

    outcome = rehearsal.play()

    assert_failed(outcome, "ExceptionGroup", "unhandled errors in a TaskGroup (1 sub-exception)")
    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["key"] == "fail@1"
    assert [attempt.key for attempt in rehearsal.journal.attempts] == ["fail@1", "fail@1", ""]


# -- which branch is which


def test_branches_are_numbered_in_the_order_in_which_they_are_opened(
    rehearse_async: RehearseAsync,
) -> None:
    """Not by which of them comes to a step first: that may differ from turn to turn."""
    second_is_ready = asyncio.Event()

    async def story(context: AsyncContext) -> Any:
        async def first() -> Any:
            if not rehearsal.journal.steps:
                await second_is_ready.wait()
            return await context.run("who", echo, "first")

        async def second() -> Any:
            who = await context.run("who", echo, "second")
            second_is_ready.set()
            return who

        return await asyncio.gather(first(), second())

    rehearsal = rehearse_async(story)

    assert rehearsal.turn() == finished(["first", "second"])
    assert rehearsal.turn() == finished(["first", "second"])
    assert rehearsal.recorded == {"who@2": "second", "who@1": "first"}


def test_a_branch_that_opens_branches_before_its_first_step_keeps_its_place(
    rehearse_async: RehearseAsync,
) -> None:
    """Which of two such branches comes to its own step first depends on how long others take."""
    fast_is_done = asyncio.Event()

    async def wait_for_fast(value: Any) -> Any:
        await fast_is_done.wait()
        return value

    async def story(context: AsyncContext) -> Any:
        async def branch(name: str, work: Any) -> Any:
            await asyncio.gather(context.run("inner", work, 1), context.run("inner", work, 2))
            outer = await context.run("outer", echo, name)
            if name == "fast":
                fast_is_done.set()
            return outer

        return await asyncio.gather(branch("slow", wait_for_fast), branch("fast", echo))

    rehearsal = rehearse_async(story)

    assert rehearsal.turn() == finished(["slow", "fast"])
    assert rehearsal.turn() == finished(["slow", "fast"])
    assert sorted(rehearsal.recorded) == [
        "inner@1.1",
        "inner@1.2",
        "inner@2.1",
        "inner@2.2",
        "outer@1",
        "outer@2",
    ]


def test_tasks_that_a_step_starts_are_no_branches(rehearse_async: RehearseAsync) -> None:
    """They are not there when the step is replayed."""

    async def fan_out() -> Any:
        return await asyncio.gather(echo(1), echo(2))

    async def story(context: AsyncContext) -> Any:
        both = await context.run("fan-out", fan_out)
        third = asyncio.create_task(context.run("third", echo, 3))
        return [*both, await third]

    rehearsal = rehearse_async(story)

    assert rehearsal.turn() == finished([1, 2, 3])
    assert rehearsal.turn() == finished([1, 2, 3])
    assert list(rehearsal.recorded) == ["fan-out", "third@1"]


def test_a_step_in_a_task_that_a_step_started_is_refused(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        async def outer() -> Any:
            return await asyncio.create_task(context.run("inner", echo, 1))

        await context.run("outer", outer)

    assert_failed(
        rehearse_async(story).turn(),
        "StepError",
        'step "outer" failed after 1 attempt: StepMisuse: step "inner" was called inside step '
        '"outer" of run wfr_1. Steps are called by the workflow function itself: return a value '
        "from the outer step and call the inner one after it.",
    )


def test_a_step_in_a_task_of_another_context_is_refused(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        await asyncio.create_task(context.run("lost", echo, 1), context=Context())

    assert_failed(
        rehearse_async(story).turn(),
        "StepMisuse",
        'step "lost" of run wfr_1 was awaited where the run cannot be told: in another thread, '
        "another event loop or a task with another context. Await steps in the workflow function, "
        "or in tasks that it creates.",
    )


# -- what is not a step


def test_a_function_may_await_what_is_not_a_step(rehearse_async: RehearseAsync) -> None:
    async def story(context: AsyncContext) -> Any:
        await asyncio.sleep(0.02)
        first = await context.run("first", echo, 1)
        await asyncio.sleep(0.02)
        return [first, await asyncio.wait_for(context.run("second", echo, 2), timeout=5)]

    rehearsal = rehearse_async(story)

    assert rehearsal.turn() == finished([1, 2])
    assert rehearsal.turn() == finished([1, 2])


def test_a_branch_that_only_yields_is_not_left_behind_by_one_that_waits(
    rehearse_async: RehearseAsync,
) -> None:
    async def story(context: AsyncContext) -> Any:
        async def slow() -> Any:
            await asyncio.sleep(0.001)
            return await context.run("slow", echo, 1)

        return await asyncio.gather(context.sleep("nap", "1h"), slow())

    rehearsal = rehearse_async(story)

    assert rehearsal.turn() == Suspended(wake_at=CREATED_AT + timedelta(hours=1))
    assert rehearsal.recorded["slow@2"] == 1


@pytest.mark.parametrize("rounds", range(0, 40, 3))
def test_a_branch_that_ends_while_all_else_waits_ends_the_turn(
    rehearse_async: RehearseAsync, rounds: int
) -> None:
    """However many rounds of the event loop it takes to its last recorded step."""

    async def late(context: AsyncContext) -> None:
        for _ in range(rounds):
            await asyncio.sleep(0)
        await context.run("late", echo, 1)

    async def story(context: AsyncContext) -> None:
        await asyncio.gather(context.sleep("nap", "1h"), late(context))

    rehearsal = rehearse_async(story)
    napping = Suspended(wake_at=CREATED_AT + timedelta(hours=1))

    assert rehearsal.turn() == napping
    assert rehearsal.turn() == napping


def test_a_run_does_not_wait_for_tasks_that_never_end(rehearse_async: RehearseAsync) -> None:
    ended = []

    async def story(context: AsyncContext) -> Any:
        async def for_ever() -> None:
            try:
                while True:
                    await asyncio.sleep(3600)
            finally:
                ended.append(True)

        heartbeat = asyncio.create_task(for_ever())
        await context.sleep("nap", "1h")
        assert not heartbeat.done()
        return "rested"

    rehearsal = rehearse_async(story)

    assert rehearsal.play() == finished("rested")
    assert ended == [True, True]


def test_branches_that_nobody_awaits_may_be_left_behind(rehearse_async: RehearseAsync) -> None:
    """The run has ended without them, whatever they had recorded."""

    async def story(context: AsyncContext) -> Any:
        async def slow() -> None:
            for number in range(3):
                await context.run("slow", echo, number)
                await asyncio.sleep(0)
            await context.sleep("nap", "1d")

        asyncio.create_task(slow())  # noqa: RUF006 - what this is about
        await context.sleep("short", "1h")
        return "done"

    rehearsal = rehearse_async(story)
    rehearsal.turn()
    assert len(rehearsal.journal.steps) == 5

    assert rehearsal.play() == finished("done")


def test_branches_that_a_failing_group_stops_may_be_left_behind(
    rehearse_async: RehearseAsync,
) -> None:
    async def story(context: AsyncContext) -> Any:
        async def slow() -> None:
            for number in range(3):
                await context.run("slow", echo, number)
                await asyncio.sleep(0)
            await context.sleep("nap", "1d")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(slow())
                group.create_task(context.options(retries=1, retry_delay="1000").run("fail", fail))
        except* StepError:
            await context.sleep("pause", "1h")
        return "handled"

    rehearsal = rehearse_async(story)

    assert rehearsal.play() == finished("handled")
    assert rehearsal.turn() == finished("handled")


def test_a_recorded_step_that_the_function_itself_no_longer_asks_for_is_noticed_all_the_same(
    rehearse_async: RehearseAsync,
) -> None:
    async def before(context: AsyncContext) -> Any:
        await context.run("first", echo, 1)
        await context.sleep("nap", "1h")

    async def after(context: AsyncContext) -> Any:
        asyncio.create_task(asyncio.sleep(60))  # noqa: RUF006 - it is left behind
        await context.run("first", echo, 1)

    rehearsal = rehearse_async(before)
    rehearsal.turn()
    rehearsal.rewrite(workflow("story")(after))
    outcome = rehearsal.turn()

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "IncompatibleHistory"


# -- where it runs


def test_a_turn_leaves_the_event_loop_of_its_caller_alone(rehearse_async: RehearseAsync) -> None:
    """As when a synchronous view of an ASGI server works on a run."""

    async def story(context: AsyncContext) -> Any:
        loops.append(asyncio.get_running_loop())
        await context.sleep("nap", "1h")

    rehearsal = rehearse_async(story)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> Any:
        other_request = asyncio.create_task(asyncio.Event().wait())
        outcome = await sync_to_async(rehearsal_in_thread)()
        await asyncio.sleep(0)
        return outcome, other_request.cancelled() or other_request.cancelling()

    def rehearsal_in_thread() -> Any:
        rehearsal.journal.thread = threading.get_ident()
        return rehearsal.turn()

    outcome, disturbed = asyncio.run(serve())

    assert outcome == Suspended(wake_at=CREATED_AT + timedelta(hours=1))
    assert not disturbed
