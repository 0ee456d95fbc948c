"""What authors do wrong with steps: each has its own sentence, which says where and what to do."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, assert_failed, finished, loaded
from tests.shells import registry
from workflows_app import AsyncContext, Context, Workflow, workflow
from workflows_app.errors import InvalidInput, StepMisuse
from workflows_app.protocol.runs import Failed, Suspended, TurnOutcome

__all__ = ["registry"]

Play = Callable[[Any], Rehearsal]
HERE = os.path.relpath(__file__)


@pytest.fixture
def rehearsal_of(rehearse_workflow: Rehearse, registry: Any) -> Play:
    """A run of a function, plain or async, as it stands in the test."""
    return lambda function: rehearse_workflow(workflow("story")(function), retries=3)


def line_of(function: Callable[..., Any], text: str) -> int:
    """The line of this file on which the function says so."""
    lines, first = inspect.getsourcelines(function)
    return next(first + number for number, line in enumerate(lines) if text in line)


def message_of(outcome: TurnOutcome) -> str:
    assert isinstance(outcome, Failed)
    return str(loaded(outcome.error)["message"])


def said(outcome: TurnOutcome, sentence: str, function: Callable[..., Any], text: str) -> bool:
    """Whether the run failed with this sentence, which names the line of the function."""
    return message_of(outcome) == sentence.replace("<>", f"{HERE}:{line_of(function, text)}")


def double(number: int) -> int:
    return 2 * number


async def triple(number: int) -> int:
    return 3 * number


# -- await is forgotten

FORGOTTEN = (
    'step "a" of run wfr_1 was called at <> and not awaited, so it did nothing. Write "await" '
    "before the call."
)


def test_a_step_that_is_not_awaited_fails_the_run(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> str:
        context.run("a", double, 1)  # type: ignore[unused-coroutine]
        return "done"

    rehearsal = rehearsal_of(story)
    outcome = rehearsal.turn()

    assert said(outcome, FORGOTTEN, story, 'run("a"')
    assert loaded(outcome.error)["type"] == "StepMisuse"  # type: ignore[union-attr]
    assert rehearsal.recorded == {}


def test_no_step_is_done_after_one_that_was_not_awaited(rehearsal_of: Play) -> None:
    done: list[str] = []

    async def story(context: AsyncContext) -> None:
        context.run("a", done.append, "a")  # type: ignore[unused-coroutine]
        await context.run("b", done.append, "b")

    rehearsal = rehearsal_of(story)

    assert said(rehearsal.turn(), FORGOTTEN, story, 'run("a"')
    assert done == []


def test_a_run_does_not_go_to_sleep_over_one_that_was_not_awaited(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> None:
        context.run("a", double, 1)  # type: ignore[unused-coroutine]
        await context.sleep("nap", "1d")

    assert said(rehearsal_of(story).turn(), FORGOTTEN, story, 'run("a"')


def test_a_step_that_is_kept_and_never_awaited_fails_the_run(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> Any:
        kept = context.run("a", double, 1)
        await context.run("b", double, 2)
        return len([kept])

    assert said(rehearsal_of(story).turn(), FORGOTTEN, story, 'run("a"')


def test_a_step_that_is_returned_instead_of_its_result_fails_the_run(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> Any:
        return context.run("a", double, 1)

    assert said(rehearsal_of(story).turn(), FORGOTTEN, story, 'run("a"')


@pytest.mark.parametrize(
    "use",
    [lambda step: step["id"], lambda step: step + 1, lambda step: step.id],
    ids=["key", "arithmetic", "attribute"],
)
def test_a_step_that_is_used_instead_of_its_result_fails_the_run_for_that(
    use: Callable[[Any], Any], rehearsal_of: Play
) -> None:
    async def story(context: AsyncContext) -> Any:
        order = context.run("a", double, 1)
        return use(order)

    assert said(rehearsal_of(story).turn(), FORGOTTEN, story, 'run("a"')


def test_a_step_in_a_condition_is_no_answer(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> str:
        if context.patched("new"):  # type: ignore[truthy-bool]
            return "new"
        return "old"

    sentence = FORGOTTEN.replace('step "a"', 'step "new"')
    assert said(rehearsal_of(story).turn(), sentence, story, "patched(")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda context: context.cancel(), "context.cancel"),
        (lambda context: context.continue_as_new(), "context.continue_as_new"),
        (lambda context: context.sleep("a", "1h"), 'step "a"'),
        (lambda context: context.options(retries=1).run("a", double, 1), 'step "a"'),
        (lambda context: context.notify(name="a", event_id="e"), 'step "a"'),
        (lambda context: context.wait_for_event("a", "e"), 'step "a"'),
        (lambda context: context.invoke("a", workflow="story"), 'step "a"'),
    ],
    ids=["cancel", "continue_as_new", "sleep", "options", "notify", "wait_for_event", "invoke"],
)
def test_whatever_is_not_awaited_is_missed(
    call: Callable[[AsyncContext], Any], what: str, rehearsal_of: Play
) -> None:
    async def story(context: AsyncContext) -> None:
        call(context)

    assert message_of(rehearsal_of(story).turn()).startswith(f"{what} of run wfr_1 was called at ")


def test_an_error_of_the_function_is_not_hidden_by_a_step_it_had_not_come_to_await(
    rehearsal_of: Play,
) -> None:
    async def story(context: AsyncContext) -> None:
        later = context.run("a", double, 1)
        if not context.request_payload:
            raise ValueError("no stock")
        await later

    rehearsal = rehearsal_of(story)

    assert isinstance(rehearsal.turn(), Suspended), "it is tried again"
    assert loaded(rehearsal.journal.attempts[0].error)["message"] == "no stock"


def test_steps_may_be_called_first_and_awaited_later(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> Any:
        steps = [context.run(f"step-{number}", double, number) for number in range(3)]
        first = await steps[0]
        return [first, *await asyncio.gather(*steps[1:])]

    assert rehearsal_of(story).play() == finished([0, 2, 4])


def test_steps_of_a_turn_that_ends_before_they_are_awaited_are_not_missed(
    rehearsal_of: Play,
) -> None:
    async def story(context: AsyncContext) -> Any:
        later = context.run("a", double, 1)
        await context.sleep("nap", "1h")
        return await later

    rehearsal = rehearsal_of(story)

    assert isinstance(rehearsal.turn(), Suspended)
    gc.collect()
    assert rehearsal.play() == finished(2)


def test_a_step_is_a_coroutine_to_whoever_takes_one(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> Any:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(context.run("a", double, 1))
            two = group.create_task(context.run("b", triple, 1))
        three = await asyncio.wait_for(asyncio.shield(context.run("c", double, 2)), 10)
        return [one.result(), two.result(), three]

    assert rehearsal_of(story).play() == finished([2, 3, 4])


# -- async functions where plain ones belong


@pytest.mark.parametrize("verb", ["run", "atomic"])
def test_a_plain_workflow_takes_no_async_function(verb: str, rehearsal_of: Play) -> None:
    def story(context: Context) -> Any:
        return getattr(context, verb)("a", triple, 1)

    rehearsal = rehearsal_of(story)

    assert said(
        rehearsal.turn(),
        'step "a" of run wfr_1 was given triple, which is async, at <>, but workflow "story" is a '
        "plain function. Write the workflow as async def and await its steps, or give the step a "
        "plain function.",
        story,
        "getattr",
    )
    assert rehearsal.recorded == {}


def test_a_plain_workflow_takes_no_async_branches(rehearsal_of: Play) -> None:
    def story(context: Context) -> Any:
        return context.parallel(partial(triple, 1))

    assert_failed(
        rehearsal_of(story).turn(),
        "StepMisuse",
        f'step "parallel" of run wfr_1 was given {partial(triple, 1)!r}, which is async, but '
        'workflow "story" is a plain function. Write the workflow as async def and await its '
        "steps, or give the step a plain function.",
    )


RETURNED = (
    'step "a" failed after 1 attempt: StepMisuse: the function of step "a" of run wfr_1 returned '
    "a coroutine, which nobody awaits. In an async def workflow give the step the async function "
    'itself, and its arguments: await context.run("a", triple, …).'
)


def test_a_step_function_that_returns_a_coroutine_is_told_of(rehearsal_of: Play) -> None:
    def plain(context: Context) -> Any:
        return context.run("a", lambda: triple(1))

    async def asynchronous(context: AsyncContext) -> Any:
        return await context.run("a", _call_triple)

    for story in (plain, asynchronous):
        assert_failed(rehearsal_of(story).turn(), "StepError", RETURNED)


def _call_triple() -> Any:
    return triple(1)


def test_a_plain_workflow_function_that_returns_a_coroutine_is_told_of(rehearsal_of: Play) -> None:
    def story(context: Context) -> Any:
        return triple(1)

    assert_failed(
        rehearsal_of(story).turn(),
        "StepMisuse",
        'the function of workflow "story" returned a coroutine in run wfr_1, which nobody awaits. '
        "Decorate the async def function itself, or await what it returns.",
    )


def test_a_plain_function_is_fine_in_an_async_workflow(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> Any:
        return [await context.run("a", double, 1), await context.atomic("b", double, 2)]

    assert rehearsal_of(story).play() == finished([2, 4])


# -- steps where none can be


def test_a_step_inside_a_step_names_the_line(rehearsal_of: Play) -> None:
    def outer(context: Any) -> Any:
        return context.run("inner", double, 1)

    def plain(context: Context) -> Any:
        return context.run("outer", outer, context)

    async def asynchronous(context: AsyncContext) -> Any:
        return await context.run("outer", outer, context)

    for story in (plain, asynchronous):
        assert said(
            rehearsal_of(story).turn(),
            'step "outer" failed after 1 attempt: StepMisuse: step "inner" was called inside step '
            '"outer" of run wfr_1, at <>. Steps are called by the workflow function itself: return '
            "a value from the outer step and call the inner one after it.",
            outer,
            "inner",
        )


def test_a_context_is_of_no_use_after_its_turn(rehearsal_of: Play) -> None:
    kept: list[Any] = []

    def plain(context: Context) -> Any:
        kept.append(context)

    async def asynchronous(context: AsyncContext) -> Any:
        kept.append(context.options(retries=1))

    for story in (plain, asynchronous):
        rehearsal = rehearsal_of(story)
        rehearsal.play()
        with pytest.raises(StepMisuse) as caught:
            kept[-1].run("late", double, 1)

        here = line_of(test_a_context_is_of_no_use_after_its_turn, '"late"')
        assert caught.value.message == (
            f'step "late" was called outside of a run: on the context of run wfr_1, whose turn is '
            f"over, at {HERE}:{here}. A context serves one call of the workflow function; do not "
            "keep it in a global variable or an object that outlives the call."
        )
        assert rehearsal.recorded == {}


IN_A_THREAD = (
    'step "a" of run wfr_1 was called in a thread that is no branch of the run, at <>. Have '
    "context.parallel start the threads; or do the whole work in one step, and start threads there "
    "that call no steps."
)


def test_a_thread_that_is_no_branch_calls_no_steps(rehearsal_of: Play) -> None:
    def story(context: Context) -> Any:
        with ThreadPoolExecutor() as pool:
            return pool.submit(lambda: context.run("a", double, 1)).result()

    rehearsal = rehearsal_of(story)

    assert said(rehearsal.turn(), IN_A_THREAD, story, "submit")
    assert rehearsal.recorded == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_step_in_a_thread_that_nobody_asks_fails_the_run_all_the_same(rehearsal_of: Play) -> None:
    def story(context: Context) -> Any:
        thread = threading.Thread(target=lambda: context.run("a", double, 1))
        thread.start()
        thread.join()

    assert said(rehearsal_of(story).turn(), IN_A_THREAD, story, "target")


def test_another_loop_awaits_no_steps(rehearsal_of: Play) -> None:
    async def story(context: AsyncContext) -> Any:
        with ThreadPoolExecutor() as pool:
            return pool.submit(lambda: asyncio.run(_await(context.run("a", double, 1)))).result()

    assert_failed(
        rehearsal_of(story).turn(),
        "StepMisuse",
        'step "a" of run wfr_1 was awaited where the run cannot be told: in another thread, '
        "another event loop or a task with another context. Await steps in the workflow function, "
        "or in tasks that it creates.",
    )


async def _await(step: Any) -> Any:
    return await step


# -- history and names


def test_a_step_that_does_not_fit_names_the_line_that_asks_for_it(rehearsal_of: Play) -> None:
    def before(context: Context) -> Any:
        context.run("old", double, 1)
        context.sleep("nap", "1h")

    def after(context: Context) -> Any:
        context.run("new", double, 1)

    async def after_async(context: AsyncContext) -> Any:
        await context.run("new", double, 1)

    for story in (after, after_async):
        rehearsal = rehearsal_of(before)
        rehearsal.turn()
        rehearsal.rewrite(workflow("story")(story))

        sentence = message_of(rehearsal.turn()).partition(". ")[0]

        line = line_of(story, '"new"')
        assert sentence == (
            'run wfr_1 has recorded run step "old" where the code of workflow "story" now asks for '
            f'run step "new", at {HERE}:{line}'
        )


@pytest.mark.usefixtures("registry")
def test_two_functions_of_a_module_cannot_share_a_name() -> None:
    workflow("twice")(double)  # type: ignore[arg-type]

    with pytest.raises(InvalidInput) as caught:
        workflow("twice")(triple)  # type: ignore[arg-type]

    first, second = (line_of(each, "def ") for each in (double, triple))
    assert caught.value.message == (
        f'workflow "twice" is defined twice: by double, at {HERE}:{first}, and by triple, at '
        f"{HERE}:{second}. Give one of them another name."
    )


def test_a_module_that_is_loaded_again_defines_its_workflows_again(
    registry: dict[str, Workflow],
) -> None:
    workflow("twice")(double)  # type: ignore[arg-type]
    again = workflow("twice")(double)  # type: ignore[arg-type]

    assert registry["twice"] is again
