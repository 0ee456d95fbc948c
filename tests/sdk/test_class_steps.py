"""Steps of class-based workflows, plain and awaited."""

# mypy: disable-error-code="untyped-decorator, no-untyped-call"

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse, RehearseClass
from tests.sdk.rehearsal import Rehearsal, assert_failed, finished, loaded
from workflows_app import (
    NonRetryableError,
    PlainWorkflowStep,
    StepError,
    Workflow,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowFatalError,
    WorkflowStep,
    WorkflowTimeoutError,
)
from workflows_app.protocol.runs import Failed, Suspended
from workflows_app.sdk.replay import Extent

SECOND = timedelta(seconds=1)
NO_RETRIES = {"retries": {"limit": 0, "delay": 0}}


def delays(rehearsal: Rehearsal) -> list[timedelta | None]:
    """How long each failed attempt had to wait for the next."""
    return [
        None if each.retry_at is None else each.retry_at - each.ended_at
        for each in rehearsal.journal.attempts
    ]


def raising(error: Exception) -> Any:
    def fail() -> None:
        raise error

    return fail


# -- calling


def test_a_step_is_called_at_once_or_through_a_decorator(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        @step.do("charge")
        def pay(amount: int, currency: str = "EUR") -> str:
            return f"{amount} {currency}"

        @step.do()
        def pack() -> str:
            return "packed"

        return [
            await step.do("reserve", lambda: "reserved"),
            await pay(7),
            await pay(8, currency="CZK"),
            await pack(),
        ]

    rehearsal = rehearse_class(story)

    assert rehearsal.play() == finished(["reserved", "7 EUR", "8 CZK", "packed"])
    assert list(rehearsal.recorded) == ["reserve", "charge", "charge#2", "pack"]


def test_a_result_is_kept_over_replays(rehearse_class: RehearseClass) -> None:
    calls: list[str] = []

    async def story(event: Any, step: Any) -> Any:
        await step.do("once", lambda: calls.append("called"))
        await step.sleep("nap", "1 second")

    rehearse_class(story).play()

    assert calls == ["called"]


def test_a_function_is_told_of_its_attempt(rehearse_class: RehearseClass) -> None:
    told: list[Any] = []

    async def story(event: Any, step: Any) -> Any:
        @step.do("charge", config={"retries": {"limit": 1, "delay": "1 second"}, "timeout": 500})
        def charge(ctx: Any, amount: int = 1) -> None:
            told.append({**ctx, "amount": amount, "name": ctx.step.name})
            if ctx["attempt"] == 1:
                raise ConnectionError("busy")

        await step.do("charge", lambda: None)
        await charge(amount=7)

    rehearse_class(story).play()

    config = {"retries": {"limit": 1, "delay": 1000, "backoff": "exponential"}, "timeout": 500}
    both = {"step": {"name": "charge", "count": 2}, "config": config, "amount": 7, "name": "charge"}
    assert told == [{**both, "attempt": 1}, {**both, "attempt": 2}]


@pytest.mark.parametrize("name", ["", "n" * 257, "a\nb", "\x1f", None, 7, ["a"], "a@2"], ids=repr)
def test_a_name_is_a_text_without_control_characters(
    name: Any, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        verbs = [
            lambda: step.do(name, list),
            lambda: step.sleep(name, 1),
            lambda: step.sleep_until(name, 1),
            lambda: step.wait_for_event(name, "go"),
        ]
        for call in verbs:
            with pytest.raises(WorkflowFatalError, match="a step's name"):
                await call()
        await step.do("n" * 256, list)

    assert rehearse_class(story).play() == finished(None)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (({"timeout": 1}, list), "step \"x\" is given {'timeout': 1} where its function stands"),
        (([list],), "step \"x\" is given [<class 'list'>] where its function stands"),
    ],
    ids=["config first", "dependencies"],
)
def test_a_function_is_what_follows_the_name(
    given: Any, sentence: str, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("x", *given)

    outcome = rehearse_class(story).turn()

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["message"].startswith(sentence)


def test_a_decorator_has_parentheses(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        @step.do
        def charge() -> None: ...

    sentence = 'write "@step.do()", with parentheses, above the function'
    assert_failed(rehearse_class(story).turn(), "WorkflowFatalError", sentence)


def test_a_step_that_is_not_awaited_fails_the_run(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    class Forgetful(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> None:
            @step.do("charge")
            def charge() -> None: ...

            charge()  # type: ignore[unused-coroutine]

    outcome = rehearse_workflow(Forgetful.workflow).turn()

    assert isinstance(outcome, Failed)
    assert 'step "charge" of run wfr_1 was called at' in loaded(outcome.error)["message"]


def test_what_a_plain_function_returns_to_be_awaited_is_awaited(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    async def fetch(url: str) -> str:
        return f"page at {url}"

    class Fetch(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> list[str]:
            fetched = await step.do("fetch", lambda: fetch("a"))
            again = step.do("fetch")(partial(fetch, "b"))
            return [fetched, await again()]

    assert rehearse_workflow(Fetch.workflow).play() == finished(["page at a", "page at b"])


@pytest.mark.parametrize("awaited", ["plain", "awaited"])
def test_a_step_within_a_step_is_refused(
    awaited: str, registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    class Nested(WorkflowEntrypoint):
        def run(self, event: WorkflowEvent, step: PlainWorkflowStep) -> None:
            step.do("outer", lambda: step.do("inner", list))

    class NestedAsync(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> None:
            await step.do("outer", lambda: step.do("inner", list))

    made = Nested.workflow if awaited == "plain" else NestedAsync.workflow
    outcome = rehearse_workflow(made).play()

    assert isinstance(outcome, Failed)
    assert 'step "inner" was called inside step "outer"' in loaded(outcome.error)["message"]


# -- policies


def test_what_a_step_does_not_say_is_up_to_the_class(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("fail", raising(ConnectionError("busy")))

    rehearsal = rehearse_class(story)
    rehearsal.play()
    own = rehearse_class(story, {"retries": 1, "retry_delay": "3s", "backoff": "linear"})
    own.play()

    assert delays(rehearsal) == [10 * SECOND * (1 << n) for n in range(5)] + [None]
    assert delays(own) == [3 * SECOND, None]


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        ({"backoff": "constant"}, [2, 2, 2]),
        ({"backoff": "linear"}, [2, 4, 6]),
        ({"backoff": "exponential"}, [2, 4, 8]),
        ({}, [2, 4, 8]),
    ],
    ids=["constant", "linear", "exponential", "unsaid"],
)
def test_retries_wait_as_the_step_says(
    backoff: Any, seconds: list[int], rehearse_class: RehearseClass
) -> None:
    config = {"retries": {"limit": 3, "delay": "2 seconds", **backoff}}

    async def story(event: Any, step: Any) -> Any:
        await step.do("fail", raising(ConnectionError("busy")), config)

    rehearsal = rehearse_class(story)
    rehearsal.play()

    assert delays(rehearsal) == [*(n * SECOND for n in seconds), None]


def test_a_function_may_say_how_long_a_retry_waits(rehearse_class: RehearseClass) -> None:
    given: list[Any] = []

    def delay(failed: Any) -> Any:
        given.append((failed.ctx.attempt, str(failed["error"]), failed.ctx.config))
        return f"{failed.ctx.attempt} seconds"

    async def delay_later(failed: Any) -> Any:
        await asyncio.sleep(0)
        return delay(failed)

    async def story(event: Any, step: Any) -> Any:
        for each in (delay, delay_later):
            config = {"retries": {"limit": 2, "delay": each, "backoff": "constant"}}
            with pytest.raises(ConnectionError):
                await step.do("fail", raising(ConnectionError("busy")), config)

    rehearsal = rehearse_class(story)
    rehearsal.play()

    assert delays(rehearsal) == [SECOND, 2 * SECOND, None] * 2
    config = {"retries": {"limit": 2, "backoff": "constant"}, "timeout": 600_000}
    assert given == [(1, "busy", config), (2, "busy", config)] * 2
    stored = loaded(rehearsal.journal.attempts[0].config)
    assert stored["retries"] == {"limit": 2, "delay": "[dynamic]", "backoff": "constant"}


@pytest.mark.parametrize(
    ("delay", "why"),
    [
        (lambda failed: failed.missing, 'it raised AttributeError: there is no "missing" here'),
        (lambda failed: "soon", "'soon' is not a duration"),
        (lambda failed: None, "None is not a duration"),
    ],
    ids=["raises", "no duration", "nothing"],
)
def test_a_broken_delay_function_fails_the_step(
    delay: Any, why: str, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        config = {"retries": {"limit": 2, "delay": delay}}
        await step.do("fail", raising(ConnectionError("busy")), config)

    outcome = rehearse_class(story).play()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert error["type"] == "NonRetryableDelayError"
    assert error["message"].startswith(f'the delay function of step "fail" is broken: {why}')


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("1 minute", 'the config of step "x" is a dict with retries, timeout, sensitive, not'),
        ({"retry": 1}, "the config of step \"x\" says 'retry', which is not one of retries,"),
        ({"retries": {"limit": 1}}, 'the retries of step "x" are a dict with both "limit" and'),
        ({"retries": {"delay": 1}}, 'the retries of step "x" are a dict with both "limit" and'),
        ({"retries": 3}, 'the retries of step "x" is a dict with limit, delay, backoff, not 3'),
        ({"retries": {"limit": -1, "delay": 1}}, 'the limit of the retries of step "x" is the'),
        ({"retries": {"limit": 1.5, "delay": 1}}, 'the limit of the retries of step "x" is the'),
        ({"retries": {"limit": 10001, "delay": 1}}, 'the limit of the retries of step "x" is'),
        ({"retries": {"limit": 1, "delay": -1}}, 'the delay of the retries of step "x": -1 is'),
        ({"retries": {"limit": 1, "delay": "5 fortnights"}}, "the delay of the retries of step"),
        ({"retries": {"limit": 1, "delay": 1, "backoff": "up"}}, "the backoff of the retries"),
        ({"timeout": 0}, 'the timeout of step "x" is 0'),
        ({"timeout": "soon"}, "the timeout of step \"x\": 'soon' is not a duration"),
        ({"sensitive": True}, '"output" is all that can be sensitive of step "x", not True'),
    ],
)
def test_a_config_that_cannot_be_is_fatal(
    config: Any, sentence: str, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("x", list, config)

    rehearsal = rehearse_class(story)
    outcome = rehearsal.turn()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert error["type"] == "WorkflowFatalError"
    assert error["message"].startswith(sentence)


def test_the_config_of_the_first_attempt_holds_for_the_others(
    rehearse_class: RehearseClass,
) -> None:
    config: dict[str, Any] = {"retries": {"limit": 2, "delay": "1 second"}, "timeout": "1 minute"}
    seen: list[Any] = []

    async def story(event: Any, step: Any) -> Any:
        @step.do("fail", config=config)
        def fail(ctx: Any) -> None:
            seen.append(ctx.config)
            raise ConnectionError("busy")

        await fail()

    rehearsal = rehearse_class(story)
    rehearsal.turn()
    config |= {"retries": {"limit": 9, "delay": "1 hour"}, "timeout": "2 minutes"}
    rehearsal.play()

    assert delays(rehearsal) == [SECOND, 2 * SECOND, None]
    assert seen[0] == seen[2]


def test_an_attempt_that_takes_too_long_is_made_again(rehearse_class: RehearseClass) -> None:
    config = {"retries": {"limit": 1, "delay": 0}, "timeout": 20}

    async def story(event: Any, step: Any) -> Any:
        with pytest.raises(WorkflowTimeoutError, match=r"^Execution timed out after 20ms$"):
            await step.do("dawdle", partial(time.sleep, 0.2), config)

    rehearsal = rehearse_class(story)

    assert rehearsal.play() == finished(None)
    assert len(rehearsal.journal.attempts) == 2


def test_a_sensitive_output_is_hidden_and_its_errors_are_not(
    rehearse_class: RehearseClass,
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("secret", lambda: "token", {"sensitive": "output"})
        await step.do("fail", raising(ValueError("why")), {**NO_RETRIES, "sensitive": "output"})

    rehearsal = rehearse_class(story)

    assert_failed(rehearsal.play(), "ValueError", "why")
    secret, _ = rehearsal.journal.steps
    assert secret.sensitive
    assert loaded(secret.config)["sensitive"] == "output"


# -- errors


class SoldOut(Exception):
    """Nothing of Python's."""


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        (ValueError("no"), ValueError),
        (KeyError("no"), LookupError),
        (FileNotFoundError("no"), OSError),
        (ZeroDivisionError("no"), ArithmeticError),
        (TimeoutError("no"), TimeoutError),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), ValueError),
        (StopAsyncIteration("no"), StepError),
        (NonRetryableError("no"), NonRetryableError),
        (NonRetryableError(), StepError),
        (SoldOut("no"), StepError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_the_error_of_a_step_is_caught_by_its_name_at_first_and_on_replay(
    error: Exception, caught_as: type[Exception], rehearse_class: RehearseClass
) -> None:
    caught: list[Any] = []

    async def story(event: Any, step: Any) -> Any:
        try:
            await step.do("fail", raising(error), NO_RETRIES)
        except caught_as as failure:
            assert isinstance(failure, StepError)
            caught.append((type(failure).__name__, str(failure)))
        await step.sleep("nap", 1000)

    assert rehearse_class(story).play() == finished(None)
    assert caught == [(type(error).__name__, str(error))] * 2


def test_an_uncaught_error_of_a_step_fails_the_run_under_its_name(
    rehearse_class: RehearseClass,
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("fail", raising(SoldOut("of tea")), NO_RETRIES)

    outcome = rehearse_class(story).play()

    assert_failed(outcome, "SoldOut", "of tea")
    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["step"] == "fail"


def test_an_error_that_is_not_to_be_retried_is_not(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("fail", raising(NonRetryableError("never")))

    rehearsal = rehearse_class(story)

    assert_failed(rehearsal.play(), "NonRetryableError", "never")
    assert len(rehearsal.journal.attempts) == 1


# -- waiting


@pytest.mark.parametrize(
    ("duration", "length"),
    [(1500, 1.5 * SECOND), ("1 minute", 60 * SECOND), ("10s", 10 * SECOND), (SECOND, SECOND)],
    ids=str,
)
def test_a_sleep_takes_numbers_words_and_timedeltas(
    duration: Any, length: timedelta, rehearse_class: RehearseClass, clock: Clock
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.sleep("nap", duration)

    assert rehearse_class(story).turn() == Suspended(wake_at=clock.now + length)


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
def test_a_sleep_ends_at_a_moment(unit: int, rehearse_class: RehearseClass, clock: Clock) -> None:
    now, until = clock.now, clock.now + timedelta(hours=1)

    async def story(event: Any, step: Any) -> Any:
        await step.sleep_until("now", now)
        await step.sleep_until("number", until.timestamp() * unit)
        await step.sleep_until("date", until)

    assert rehearse_class(story).turn() == Suspended(wake_at=until)


@pytest.mark.parametrize("moment", ["tomorrow", float("nan"), 10**400], ids=["word", "nan", "huge"])
def test_what_is_no_moment_is_fatal(moment: Any, rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        with pytest.raises(WorkflowFatalError, match='step "nap" cannot sleep: '):
            await step.sleep_until("nap", moment)

    assert rehearse_class(story).turn() == finished(None)


def test_a_moment_that_has_passed_is_refused_and_the_run_may_go_on(
    rehearse_class: RehearseClass, clock: Clock
) -> None:
    past: list[datetime] = [clock.now - SECOND]

    async def story(event: Any, step: Any) -> Any:
        with pytest.raises(Exception, match="which has passed"):
            await step.sleep_until("late", past[0])
        await step.sleep("nap", 1000)

    assert rehearse_class(story).play() == finished(None)


def test_an_event_is_waited_for(rehearse_class: RehearseClass, clock: Clock) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.wait_for_event("approval", "approved", timeout="1 hour")

    outcome = rehearse_class(story).turn()

    assert isinstance(outcome, Suspended)
    (wait,) = outcome.waits
    assert (wait.event_id, wait.timeout) == ("approved", timedelta(hours=1))


@pytest.mark.parametrize(
    ("event_type", "timeout", "sentence"),
    [
        ("a.b", "1 hour", "step \"x\" waits for an event of type 'a.b': a type has 1 to 100"),
        ("-a", "1 hour", "step \"x\" waits for an event of type '-a': a type has 1 to 100"),
        ("a" * 101, "1 hour", 'step "x" waits for an event of type'),
        ("a\n", "1 hour", 'step "x" waits for an event of type'),
        ("a", 999, 'step "x" waits for 0:00:00.999000: the timeout of an event is 1 second to'),
        ("a", "366 days", 'step "x" waits for 366 days, 0:00:00: the timeout of an event is'),
    ],
)
def test_a_wait_that_cannot_be_is_fatal(
    event_type: str, timeout: Any, sentence: str, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.wait_for_event("x", event_type, timeout=timeout)

    outcome = rehearse_class(story).turn()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert error["type"] == "WorkflowFatalError"
    assert error["message"].startswith(sentence)


# -- dependencies


def needing(step: Any, calls: list[str], **options: Any) -> Any:
    """Four steps: the last needs two, of which each needs the first."""

    @step.do()
    def base() -> int:
        calls.append("base")
        return 1

    @step.do("left side")
    def left(base: int) -> int:
        calls.append("left")
        return base + 1

    @step.do()
    def right(base: int) -> int:
        calls.append("right")
        return base + 2

    @step.do(**options)
    def both(left: int, right: int, more: int = 5) -> list[int]:
        return [left, right, more]

    return base, left, right, both


@pytest.mark.parametrize("concurrent", [False, True], ids=["one by one", "concurrent"])
@pytest.mark.parametrize("extent", [Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH], ids=str)
def test_parameters_named_like_steps_are_given_their_results(
    concurrent: Any, extent: Extent, rehearse_class: RehearseClass
) -> None:
    calls: list[str] = []

    async def story(event: Any, step: Any) -> Any:
        *_, both = needing(step, calls, concurrent=concurrent)
        return await both()

    assert rehearse_class(story).play(extent) == finished([2, 3, 5])
    assert sorted(calls) == ["base", "left", "right"]


def test_a_step_that_was_called_before_is_not_called_again(rehearse_class: RehearseClass) -> None:
    calls: list[str] = []

    async def story(event: Any, step: Any) -> Any:
        base, left, _, both = needing(step, calls)
        await base()
        await left(40)
        return await both(right=9, more=0)

    assert rehearse_class(story).play() == finished([41, 9, 0])
    assert calls == ["base", "left"]


def test_dependencies_may_be_listed(rehearse_class: RehearseClass) -> None:
    calls: list[str] = []

    async def story(event: Any, step: Any) -> Any:
        _, left, right, _ = needing(step, calls)

        @step.do("sum", depends=[right, left])
        def add(ctx: Any, one: int, other: int) -> list[int]:
            return [one, other]

        return await add()

    assert rehearse_class(story).play() == finished([3, 2])


def test_a_result_that_tasks_share_is_made_once(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    calls: list[str] = []

    class Shared(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
            _, left, right, _ = needing(step, calls)
            both = await asyncio.gather(left(), right())
            await step.sleep("nap", 1000)
            return both

    rehearsal = rehearse_workflow(Shared.workflow)

    assert rehearsal.play(Extent.ONE_BATCH) == finished([2, 3])
    assert calls.count("base") == 1


@pytest.mark.parametrize(
    ("cancelled", "ends_as"),
    [("needs", [1, "cancelled"]), ("needed", ["cancelled", "cancelled"])],
)
def test_a_cancelled_task_neither_breaks_nor_hangs_those_that_share_a_result(
    cancelled: str, ends_as: list[Any], registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    class Shared(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
            begun, may_end = asyncio.Event(), asyncio.Event()

            @step.do()
            async def needed() -> int:
                begun.set()
                await may_end.wait()
                return 1

            @step.do()
            def needs(needed: int) -> int:
                return needed

            tasks = {
                "needed": asyncio.create_task(needed()),
                "needs": asyncio.create_task(needs()),
            }
            await begun.wait()
            tasks[cancelled].cancel()
            await asyncio.sleep(0)
            may_end.set()
            ended = await asyncio.gather(*tasks.values(), return_exceptions=True)
            return ["cancelled" if isinstance(e, asyncio.CancelledError) else e for e in ended]

    assert rehearse_workflow(Shared.workflow).turn() == finished(ends_as)


def test_a_branch_of_threads_needs_results_that_are_there(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    class Shared(WorkflowEntrypoint):
        def run(self, event: WorkflowEvent, step: PlainWorkflowStep) -> Any:
            base, left, right, _ = needing(step, [])
            if event.payload == "called before":
                base()
            return step.parallel(left, right)

    there = rehearse_workflow(Shared.workflow, payload=b'"called before"')
    missing = rehearse_workflow(Shared.workflow)

    assert there.play() == finished([2, 3])
    outcome = missing.play()
    assert isinstance(outcome, Failed)
    assert 'needs the result of "base"' in loaded(outcome.error)["message"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing", 'step "lonely" takes "nobody", but no step of that name is defined and the'),
        ("circle", 'steps need the results of each other: "egg" → "hen" → "egg"'),
        ("arguments", 'step "egg" was called wrongly: '),
    ],
)
def test_dependencies_that_cannot_be_are_fatal(
    name: str, sentence: str, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        @step.do()
        def lonely(nobody: Any) -> None: ...

        @step.do()
        def egg(hen: Any) -> None: ...

        @step.do()
        def hen(egg: Any) -> None: ...

        await {"missing": lonely, "circle": egg, "arguments": lambda: egg(1, 2)}[name]()

    outcome = rehearse_class(story).turn()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert error["type"] == "WorkflowFatalError"
    assert error["message"].startswith(sentence)


def test_steps_go_on_side_by_side(rehearse_class: RehearseClass) -> None:
    async def story(event: Any, step: Any) -> Any:
        return await step.parallel(lambda: step.do("a", lambda: 1), lambda: step.do("b", lambda: 2))

    rehearsal = rehearse_class(story)

    assert rehearsal.play(Extent.ONE_BATCH) == finished([1, 2])
    assert sorted(rehearsal.recorded) == ["a@1", "b@2"]


# -- undoing


def test_a_failed_run_undoes_its_steps_the_latest_first(rehearse_class: RehearseClass) -> None:
    undone: list[Any] = []

    async def story(event: Any, step: Any) -> Any:
        await step.do("reserve", lambda: "r-1", rollback=undone.append)
        own = {"rollback": undone.append, "rollbackConfig": {"timeout": "1 minute"}}
        charge = step.do("charge", rollback=own)(lambda: "c-1")
        await charge()
        await step.do("ship", raising(SoldOut("of tea")), NO_RETRIES, rollback=undone.append)

    rehearsal = rehearse_class(story)

    assert_failed(rehearsal.play(), "SoldOut", "of tea")
    assert [(each.stepName, each["output"]) for each in undone] == [
        ("ship-1", None),
        ("charge-1", "c-1"),
        ("reserve-1", "r-1"),
    ]
    assert {(type(each.error).__name__, str(each.error)) for each in undone} == {
        ("SoldOut", "of tea")
    }
    assert [each.ctx.config["timeout"] for each in undone] == [600_000, 60_000, 600_000]


def test_a_rollback_is_retried_by_its_own_policy(rehearse_class: RehearseClass) -> None:
    attempts: list[int] = []

    def undo(given: Any) -> None:
        attempts.append(given.ctx.attempt)
        if given.ctx.attempt < 3:
            raise ConnectionError("busy")

    async def story(event: Any, step: Any) -> Any:
        own = {"rollback": undo, "rollbackConfig": {"retries": {"limit": 2, "delay": "1 second"}}}
        await step.do("charge", list, NO_RETRIES, rollback=own)
        await step.do("fail", raising(SoldOut("of tea")), NO_RETRIES)

    rehearsal = rehearse_class(story)

    assert_failed(rehearsal.play(), "SoldOut", "of tea")
    assert attempts == [1, 2, 3]


@pytest.mark.parametrize(
    ("rollback", "sentence"),
    [
        ("undo", 'the rollback of step "x" is a function, or a dict of that as "rollback" and'),
        ({}, 'the rollback of step "x" is a function, or a dict of that as "rollback" and of'),
        ({"rollback": print, "config": {}}, 'the rollback of step "x" is a function, or a dict'),
        (
            {"rollback": print, "rollbackConfig": {"sensitive": "output"}},
            "the config of step \"x\" says 'sensitive', which is not one of retries, timeout",
        ),
    ],
    ids=["text", "empty", "unknown", "sensitive"],
)
def test_a_rollback_that_cannot_be_is_fatal(
    rollback: Any, sentence: str, rehearse_class: RehearseClass
) -> None:
    async def story(event: Any, step: Any) -> Any:
        await step.do("x", list, rollback=rollback)

    outcome = rehearse_class(story).turn()

    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert error["type"] == "WorkflowFatalError"
    assert error["message"].startswith(sentence)


def test_a_step_within_a_rollback_is_refused(
    registry: dict[str, Workflow], rehearse_workflow: Rehearse
) -> None:
    class Nesting(WorkflowEntrypoint):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> None:
            async def undo(given: Any) -> None:
                await step.do("inner", list)

            await step.do("charge", list, rollback=undo)
            await step.do("fail", raising(SoldOut("of tea")), NO_RETRIES)

    outcome = rehearse_workflow(Nesting.workflow).play()

    assert isinstance(outcome, Failed)
    assert 'step "inner" was called' in loaded(outcome.error)["undo"]


def test_a_step_may_return_bytes_which_a_rollback_is_given_too(
    rehearse_class: RehearseClass,
) -> None:
    seen = []

    async def story(event: Any, step: Any) -> Any:
        seen.append(
            await step.do("draw", lambda: b"\xff", rollback=lambda undo: seen.append(undo.output))
        )
        await step.sleep("dry", "1 hour")
        raise SoldOut("of tea")

    rehearse_class(story).play()

    assert seen == [b"\xff"] * len(seen)
    assert len(seen) >= 3
