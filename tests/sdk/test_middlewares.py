"""What middlewares are told, in which order and how often, by both shells alike."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, finished
from tests.shells import Define, Story
from tests.traces import Trace
from workflows_app import (
    Callbacks,
    CallResponse,
    EventResult,
    InvokeResponse,
    Middleware,
    StepError,
    Webhook,
)
from workflows_app.errors import InvalidInput, LeaseLost
from workflows_app.protocol.runs import Canceled, Failed, StepKind, StepRecord, Suspended
from workflows_app.sdk.middlewares import RunStarted, StepFinished, StepStarted
from workflows_app.sdk.replay import Extent

EXTENTS = [Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH]
URL = "https://rates.example/latest"
Watch = Callable[..., Rehearsal]


@pytest.fixture(params=["plain", "async"])
def trace(request: pytest.FixtureRequest) -> Trace:
    return Trace(is_async=request.param == "async")


@pytest.fixture
def watch(define: Define, rehearse_workflow: Rehearse, trace: Trace) -> Watch:
    """A run of a story that tells the trace, or these middlewares."""

    def watch(story: Story, *middlewares: Middleware, **run: Any) -> Rehearsal:
        told = middlewares or (trace.middleware,)
        return rehearse_workflow(define(middlewares=told)(story), **run)

    return watch


def flaky(*outcomes: Any) -> Callable[[], Any]:
    """Returns, or raises, each of the outcomes in turn."""
    left = list(outcomes)

    def work() -> Any:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return work


# -- order and once-ness


@pytest.mark.parametrize("extent", EXTENTS)
def test_a_run_is_told_from_its_start_to_its_end(
    extent: Extent, watch: Watch, trace: Trace
) -> None:
    async def story(context: Any) -> Any:
        first = await context.run("add", lambda: 1)
        second = await context.run("add", lambda: (first, 2))
        return len(second)

    assert watch(story).play(extent) == finished(2)
    assert trace.lines == [
        "story wfr_1 started",
        "before add 1",
        "after add 1: 1",
        "before add#2 1",
        "after add#2 1: [1, 2]",
        "completed: 2",
    ]


@pytest.mark.parametrize("extent", EXTENTS)
def test_a_replay_tells_nothing_again(extent: Extent, watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.run("one", lambda: 1)
        await context.sleep("nap", "1h")
        await context.run("two", lambda: 2)
        await context.sleep_until("night", "2030-01-03T00:00:00Z")

    rehearsal = watch(story)
    rehearsal.play(extent)

    assert rehearsal.turns > 2
    assert trace.lines == [
        "story wfr_1 started",
        "before one 1",
        "after one 1: 1",
        "before nap 1",
        "after nap 1: None",
        "before two 1",
        "after two 1: 2",
        "before night 1",
        "after night 1: None",
        "completed: None",
    ]


def test_a_sleep_that_is_over_at_once_is_told_at_once(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("blink", timedelta())

    watch(story).turn()

    assert trace.lines == [
        "story wfr_1 started",
        "before blink 1",
        "after blink 1: None",
        "completed: None",
    ]


def test_steps_that_the_server_ends_are_told_with_what_the_function_is_given(
    watch: Watch, clock: Clock
) -> None:
    told: list[Any] = []
    middleware = Middleware(
        "results", callbacks=Callbacks(after_execution=lambda moment: told.append(moment.result))
    )

    async def story(context: Any) -> Any:
        await context.call("ask", url=URL)
        await context.invoke("pack", workflow="https://peer.example/pack", body="tea")
        await context.wait_for_event("approval", "approved")
        webhook = Webhook(webhook_url="https://hooks.example/evt_1", event_id="evt_1")
        await context.wait_for_webhook("called", webhook)
        await context.notify("tell", "approved", {"by": "Ann"})

    rehearsal = watch(story, middleware)
    rehearsal.turn()
    ends = {
        "ask": (StepKind.CALL, '{"status":200,"header":{},"body":"1"}'),
        "pack": (StepKind.INVOKE, '{"body":"2","isFailed":false,"isCanceled":false}'),
        "approval": (StepKind.WAIT, '{"data":"3","timeout":false}'),
        "called": (StepKind.WAIT_FOR_WEBHOOK, '{"timeout":true}'),
        "tell": (StepKind.NOTIFY, "[]"),
    }
    for name, (kind, result) in ends.items():
        rehearsal.journal.add(ended(name, kind, result, clock))
        rehearsal.turn()

    call, invoked, event, called, notified = told
    assert call == CallResponse(status=200, header={}, body=1)
    assert invoked == InvokeResponse(body=2, is_failed=False, is_canceled=False)
    assert event == EventResult(event_data=3, timeout=False)
    assert called.timeout
    assert notified == ()


def ended(name: str, kind: StepKind, result: str, clock: Clock, branch: str = "") -> StepRecord:
    """A step as the server records it."""
    return StepRecord(
        key=f"{name}@{branch}" if branch else name,
        name=name,
        kind=kind,
        branch=branch,
        input=None,
        result=result,
        error=None,
        attempts=1,
        started_at=clock.now,
        ended_at=clock.now,
    )


def test_a_step_that_waits_is_told_once_however_many_turns_it_takes(
    watch: Watch, trace: Trace, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        await context.wait_for_event("approval", "approved")
        await context.call("ask", url=URL)

    rehearsal = watch(story)
    for _ in range(3):
        rehearsal.turn()
    rehearsal.journal.add(ended("approval", StepKind.WAIT, '{"data":"3","timeout":false}', clock))
    for _ in range(3):
        rehearsal.turn()

    assert trace.lines == [
        "story wfr_1 started",
        "before approval 1",
        "after approval 1: EventResult(event_data=3, timeout=False)",
        "before ask 1",
    ]


def test_an_answer_by_a_server_whose_clock_is_ahead_is_told_at_once(
    watch: Watch, trace: Trace, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        return (await context.call("ask", url=URL)).status

    rehearsal = watch(story)
    rehearsal.turn()
    answer = ended("ask", StepKind.CALL, '{"status":200,"header":{},"body":""}', clock)
    rehearsal.journal.add(replace(answer, ended_at=clock.now + timedelta(seconds=1)))
    rehearsal.turn()

    assert trace.lines[2:] == [
        "after ask 1: CallResponse(status=200, header={}, body='')",
        "completed: 200",
    ]


def test_parallel_calls_are_told_once_each_in_whatever_turn_they_are_answered(
    watch: Watch, trace: Trace, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        async def ask() -> Any:
            return (await context.call("ask", url=URL)).body

        return await context.parallel(ask, ask, ask)

    rehearsal = watch(story)
    rehearsal.turn()
    for branch in ("2", "1", "3"):
        answer = f'{{"status":200,"header":{{}},"body":"{branch}"}}'
        rehearsal.journal.add(ended("ask", StepKind.CALL, answer, clock, branch))
        rehearsal.turn()

    started, *before = trace.lines[:4]
    assert started == "story wfr_1 started"
    assert sorted(before) == ["before ask@1 1", "before ask@2 1", "before ask@3 1"]
    assert [line.split(":")[0] for line in trace.lines[4:]] == [
        "after ask@2 1",
        "after ask@1 1",
        "after ask@3 1",
        "completed",
    ]


@pytest.mark.parametrize("extent", EXTENTS)
def test_in_a_branch_the_order_is_that_of_its_steps(
    extent: Extent, watch: Watch, trace: Trace
) -> None:
    async def story(context: Any) -> Any:
        async def branch() -> Any:
            await context.run("one", lambda: 1)
            await context.sleep("nap", "1h")
            return await context.run("two", lambda: 2)

        return await context.parallel(branch, branch, branch)

    assert watch(story).play(extent) == finished([2, 2, 2])
    assert (trace.lines[0], trace.lines[-1]) == ("story wfr_1 started", "completed: [2, 2, 2]")
    for branch in (1, 2, 3):
        assert [line for line in trace.lines if f"@{branch} " in line] == [
            f"before one@{branch} 1",
            f"after one@{branch} 1: 1",
            f"before nap@{branch} 1",
            f"after nap@{branch} 1: None",
            f"before two@{branch} 1",
            f"after two@{branch} 1: 2",
        ]
    assert len(trace.lines) == 20


def test_middlewares_are_told_in_the_order_in_which_they_stand(watch: Watch, trace: Trace) -> None:
    other = Trace(name="2nd: ", lines=trace.lines)

    async def story(context: Any) -> Any:
        await context.run("add", lambda: 1)

    watch(story, trace.middleware, other.middleware).turn()

    assert trace.lines == [
        "story wfr_1 started",
        "2nd: story wfr_1 started",
        "before add 1",
        "2nd: before add 1",
        "after add 1: 1",
        "2nd: after add 1: 1",
        "completed: None",
        "2nd: completed: None",
    ]


# -- errors


@pytest.mark.parametrize("extent", EXTENTS)
def test_each_attempt_of_a_step_is_told_with_how_it_ended(
    extent: Extent, watch: Watch, trace: Trace
) -> None:
    work = flaky(ValueError("no"), KeyError("no"), 7)

    async def story(context: Any) -> Any:
        return await context.run("work", work)

    assert watch(story, retries=2).play(extent) == finished(7)
    assert trace.lines == [
        "story wfr_1 started",
        "before work 1",
        "work 1 failed for now: ValueError",
        "before work 2",
        "work 2 failed for now: KeyError",
        "before work 3",
        "after work 3: 7",
        "completed: 7",
    ]


def test_a_step_that_fails_for_good_and_the_run_that_it_fails_are_told(
    watch: Watch, trace: Trace
) -> None:
    async def story(context: Any) -> Any:
        await context.run("work", flaky(ValueError("no")))

    assert isinstance(watch(story).turn(), Failed)
    assert trace.lines == [
        "story wfr_1 started",
        "before work 1",
        "work 1 failed for good: ValueError",
        "the function 1 failed for good: StepError",
    ]


def test_a_failure_that_the_function_handles_does_not_fail_the_run(
    watch: Watch, trace: Trace
) -> None:
    async def story(context: Any) -> Any:
        try:
            await context.run("work", flaky(ValueError("no")))
        except StepError:
            return "handled"

    rehearsal = watch(story)

    assert rehearsal.turn() == finished("handled")
    assert trace.lines[2:] == ["work 1 failed for good: ValueError", "completed: 'handled'"]


def test_each_attempt_of_the_function_is_told(watch: Watch, trace: Trace) -> None:
    work = flaky(ValueError("no"), KeyError("no"))

    async def story(context: Any) -> Any:
        work()

    assert isinstance(watch(story, retries=1).play(), Failed)
    assert trace.lines == [
        "story wfr_1 started",
        "the function 1 failed for now: ValueError",
        "the function 2 failed for good: KeyError",
    ]


def test_code_that_does_not_fit_the_history_is_told(
    watch: Watch, trace: Trace, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        await context.run("new", lambda: 1)

    rehearsal = watch(story)
    rehearsal.journal.add(ended("old", StepKind.RUN, "1", clock))

    assert isinstance(rehearsal.turn(), Failed)
    assert trace.lines == ["the function 1 failed for good: IncompatibleHistory"]


def test_an_atomic_step_is_told_before_and_after_its_transaction(
    watch: Watch, trace: Trace
) -> None:
    work = flaky(ValueError("no"), 7)

    async def story(context: Any) -> Any:
        return await context.atomic("work", work)

    rehearsal = watch(story, retries=1)
    commit = rehearsal.journal.atomic

    def atomic(execute: Callable[[], StepRecord]) -> StepRecord:
        trace.note("begin")
        try:
            return commit(execute)
        finally:
            trace.note("end")

    rehearsal.journal.atomic = atomic  # type: ignore[method-assign]  # a port of the test's own

    assert rehearsal.play() == finished(7)
    assert trace.lines[1:-1] == [
        "before work 1",
        "begin",
        "end",
        "work 1 failed for now: ValueError",
        "before work 2",
        "begin",
        "end",
        "after work 2: 7",
    ]


def test_of_a_sensitive_step_only_its_coming_and_going_is_told(watch: Watch, trace: Trace) -> None:
    errors: list[str] = []
    told = Callbacks(on_error=lambda moment: errors.append(str(moment.error)))
    work = flaky(ValueError("the secret"), "the secret")

    async def story(context: Any) -> Any:
        await context.options(sensitive=True).run("work", work)

    rehearsal = watch(story, trace.middleware, Middleware("errors", callbacks=told), retries=1)
    rehearsal.play()

    assert trace.lines[1:] == [
        "before work 1",
        "work 1 failed for now: StepError",
        "before work 2",
        "after work 2: None",
        "completed: None",
    ]
    assert len(errors) == 1
    assert "ValueError" in errors[0]
    assert "the secret" not in errors[0]


def test_undoing_is_told_as_steps_and_the_run_fails_once(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=lambda undo: None).run("book", lambda: 1)
        await context.run("pay", flaky(ValueError("no")))

    assert isinstance(watch(story).play(), Failed)
    assert trace.lines[3:] == [
        "before pay 1",
        "pay 1 failed for good: ValueError",
        "the function 1 failed for good: StepError",
        "before book@undo 1",
        "after book@undo 1: None",
    ]


# -- a process that dies


def test_what_was_told_and_not_stored_is_told_again(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.run("one", lambda: 1)
        await context.run("two", lambda: 2)

    rehearsal = watch(story)
    with lost_at(rehearsal, "two"):
        rehearsal.turn()
    rehearsal.turn()

    assert trace.lines == [
        "story wfr_1 started",
        "before one 1",
        "after one 1: 1",
        "before two 1",
        "before two 1",
        "after two 1: 2",
        "completed: None",
    ]


def test_a_run_that_has_stored_nothing_starts_again(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.run("one", lambda: 1)

    rehearsal = watch(story)
    with lost_at(rehearsal, "one"):
        rehearsal.turn()
    rehearsal.turn()

    assert trace.lines[:4] == ["story wfr_1 started", "before one 1"] * 2


class lost_at:  # noqa: N801 - reads as a verb
    """The lease is lost when this step is to be stored."""

    def __init__(self, rehearsal: Rehearsal, key: str) -> None:
        self._journal = rehearsal.journal
        self._key = key
        self._record = self._journal.record

    def __enter__(self) -> None:
        def record(steps: list[StepRecord], attempts: Any) -> dict[str, StepRecord]:
            if any(step.key == self._key for step in steps):
                raise LeaseLost
            return self._record(steps, attempts)

        self._journal.record = record  # type: ignore[method-assign]  # a port of the test's own

    def __exit__(self, kind: Any, error: Any, _: Any) -> bool:
        self._journal.record = self._record  # type: ignore[method-assign]  # as it was
        return kind is LeaseLost


# -- notices


def test_it_is_said_what_the_run_waits_for(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", "1h")
        await context.call("ask", url=URL)

    rehearsal = watch(story)
    rehearsal.respond = lambda call: {"status": 200, "header": {}, "body": ""}
    rehearsal.play()

    assert trace.notices == [
        "the run waits until 2030-01-02T13:00:00+00:00 at the latest",
        "the run waits",
    ]


def test_a_run_that_cancels_itself_is_not_completed(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.cancel()

    assert watch(story).turn() == Canceled()
    assert trace.lines == ["story wfr_1 started"]
    assert trace.notices == ["the run ends as cancelled"]


def test_a_thread_that_goes_on_after_its_timeout_is_a_warning(watch: Watch, trace: Trace) -> None:
    late = threading.Event()

    async def story(context: Any) -> Any:
        patient = context.options(timeout="0.01s")
        await patient.run("work", partial(late.wait, 10))

    watch(story).turn()
    late.set()

    assert trace.notices == [
        'step "work" is too late; its thread goes on, and what it returns is dropped'
    ]


# -- what callbacks may do


def test_callbacks_know_the_run_and_inside_a_step_that_step(watch: Watch) -> None:
    seen: list[Any] = []

    def look(moment: RunStarted | StepStarted | StepFinished) -> None:
        context = moment.context
        seen.append((context.request_payload, context.labels, context.attempt))
        seen.append(context.idempotency_key.rpartition(":")[2])

    middleware = Middleware(
        "look", callbacks=Callbacks(run_started=look, before_execution=look, after_execution=look)
    )
    work = flaky(ValueError("no"), 1)

    async def story(context: Any) -> Any:
        await context.run("work", work)

    watch(story, middleware, retries=1, payload=b'"tea"', labels=("vip",)).play()

    assert [at for at in seen if isinstance(at, tuple)] == [
        ("tea", ("vip",), 1),
        ("tea", ("vip",), 1),
        ("tea", ("vip",), 2),
        ("tea", ("vip",), 2),
    ]
    assert seen[3::2] == ["work", "work", "work"]


def test_callbacks_have_no_steps_and_their_tasks_are_no_branches(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    contexts: list[Any] = []

    async def before(moment: StepStarted) -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        await contexts[-1].run("sneaky", lambda: 1)

    middleware = Middleware("sneak", callbacks=Callbacks(before_execution=before))

    async def story(context: Any) -> Any:
        contexts.append(context)
        return await context.parallel(lambda: context.run("work", lambda: 1))

    rehearsal = watch(story, middleware)

    assert rehearsal.turn() == finished([1])
    assert list(rehearsal.recorded) == ["work@1"]
    assert 'step "sneaky" was called inside step "work"' in caplog.text


@pytest.mark.parametrize("error", [ValueError, SystemExit, StopIteration])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_that_raises_is_logged_and_disturbs_nobody(
    error: type[BaseException],
    is_async: bool,  # noqa: FBT001 - given by pytest
    watch: Watch,
    trace: Trace,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def plain(moment: object) -> None:
        raise error

    async def awaited(moment: object) -> None:
        raise error

    fails: Any = awaited if is_async else plain
    broken = Middleware(
        "broken",
        callbacks=Callbacks(
            run_started=fails,
            before_execution=fails,
            after_execution=fails,
            run_completed=fails,
            on_error=fails,
            on_warning=fails,
            on_info=fails,
        ),
    )
    work = flaky(KeyError("no"), 7)

    async def story(context: Any) -> Any:
        return await context.run("work", work)

    rehearsal = watch(story, broken, trace.middleware, retries=1)

    assert rehearsal.play() == finished(7)
    assert trace.lines == [
        "story wfr_1 started",
        "before work 1",
        "work 1 failed for now: KeyError",
        "before work 2",
        "after work 2: 7",
        "completed: 7",
    ]
    logged = [each for each in caplog.records if each.name == "workflows_app.middleware"]
    assert {each.levelno for each in logged} == {logging.ERROR}
    assert [each.message for each in logged] == [
        f'middleware "broken" failed in {callback} of run wfr_1'
        for callback in (
            "run_started",
            "before_execution",
            "on_error",
            "on_info",
            "before_execution",
            "after_execution",
            "run_completed",
        )
    ]


def test_a_slow_callback_does_not_end_the_turn(watch: Watch) -> None:
    async def before(moment: StepStarted) -> None:
        await asyncio.sleep(0.05)

    def after(moment: StepFinished) -> None:
        time.sleep(0.05)

    middleware = Middleware(
        "slow", callbacks=Callbacks(before_execution=before, after_execution=after)
    )

    async def story(context: Any) -> Any:
        async def nap() -> None:
            await context.sleep("nap", "1h")

        async def work() -> Any:
            return await context.run("work", lambda: 1)

        return await context.parallel(nap, work)

    rehearsal = watch(story, middleware)
    outcome = rehearsal.turn()

    assert isinstance(outcome, Suspended)
    assert rehearsal.recorded["work@2"] == 1
    assert rehearsal.turns == 1


# -- init


@pytest.mark.parametrize("is_async", [False, True])
def test_what_init_prepares_is_prepared_once_for_all_runs(
    is_async: bool,  # noqa: FBT001 - given by pytest
    watch: Watch,
    trace: Trace,
) -> None:
    prepared: list[str] = []

    def init() -> Callbacks:
        prepared.append("connection")
        return trace.plain

    async def init_async() -> Callbacks:
        return init()

    middleware = Middleware("prepared", init=init_async if is_async else init)

    async def story(context: Any) -> Any:
        await context.parallel(*(partial(context.run, "work", lambda: 1) for _ in range(5)))

    for _ in range(2):
        watch(story, middleware).play()

    assert prepared == ["connection"]
    assert trace.lines.count("story wfr_1 started") == 2
    assert len(trace.lines) == 2 * (1 + 5 * 2 + 1)


def test_an_init_that_fails_is_called_again(
    watch: Watch, trace: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    init = flaky(ConnectionError("not yet"), trace.plain)

    async def story(context: Any) -> Any:
        await context.run("work", lambda: 1)

    assert watch(story, Middleware("late", init=init)).turn() == finished(None)
    assert trace.lines == ["before work 1", "after work 1: 1", "completed: None"]
    assert 'middleware "late" failed in run_started of run wfr_1' in caplog.text


def test_an_init_that_returns_something_else_says_so(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(context: Any) -> Any:
        return None

    watch(story, Middleware("wrong", init=dict)).turn()  # type: ignore[arg-type]  # on purpose

    assert 'the init of middleware "wrong" must return Callbacks, not dict' in caplog.text


def test_a_middleware_has_either_callbacks_or_an_init() -> None:
    sentence = 'middleware "none" takes either its callbacks, or an init that returns them'

    with pytest.raises(InvalidInput, match=sentence):
        Middleware("none")
    with pytest.raises(InvalidInput, match=sentence):
        Middleware("none", callbacks=Callbacks(), init=Callbacks)


def test_what_is_no_middleware_is_refused_where_it_is_written(define: Define) -> None:
    with pytest.raises(InvalidInput, match='the middlewares of workflow "story" must each be a'):
        define(middlewares=[print])(lambda context: context)


# -- without any


def test_a_run_without_middlewares_remembers_nothing_for_them(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.sleep("nap", "1h")

    outcome = rehearse(story).turn()

    assert isinstance(outcome, Suspended)
    assert outcome.observed is None


def test_looking_whether_a_run_fits_its_code_tells_nobody(watch: Watch, trace: Trace) -> None:
    async def story(context: Any) -> Any:
        await context.run("work", lambda: 1)

    outcome = watch(story).turn(Extent.RECORDED)

    assert isinstance(outcome, Suspended)
    assert outcome.observed is None
    assert (trace.lines, trace.notices) == ([], [])
