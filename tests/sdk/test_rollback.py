"""Undoing what was done when a run fails or asks for it, by both shells alike."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, assert_failed, finished, loaded
from workflows_app import (
    AsyncContext,
    Context,
    StepError,
    Undo,
    WorkflowNonRetryableError,
    workflow,
)
from workflows_app.protocol.runs import Canceled, Failed, StepKind, Suspended
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.replay import Extent

EXTENTS = pytest.mark.parametrize(
    "extent", [Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH], ids=["turn", "delivery"]
)
SOLD_OUT = 'step "pay" failed after 1 attempt: LookupError: no funds'


class Shop:
    """What was done and undone, in order."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.undos: list[Undo] = []

    def do(self, what: str) -> str:
        self.did.append(what)
        return f"{what} done"

    def fail(self, what: str) -> None:
        self.did.append(what)
        raise LookupError("no funds")

    def undo(self, undo: Undo) -> None:
        self.did.append(f"undo {undo.step}")
        self.undos.append(undo)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def rollbacks(rehearsal: Rehearsal) -> list[tuple[str, str]]:
    """Key and name of what was recorded of the rollback."""
    return [
        (step.key, step.name) for step in rehearsal.journal.steps if step.kind is StepKind.ROLLBACK
    ]


def order(shop: Shop, **options: Any) -> Any:
    """Reserves, packs and pays, which fails; packing cannot be undone."""

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo, **options)
        await undoable.run("reserve", shop.do, "reserve")
        await context.run("pack", shop.do, "pack")
        await undoable.run("pay", shop.fail, "pay")

    return story


# -- what is undone, and when


@EXTENTS
def test_what_was_started_is_undone_in_reverse_when_the_run_fails(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    rehearsal = rehearse(order(shop))

    assert_failed(rehearsal.play(extent), "StepError", SOLD_OUT)
    assert shop.did == ["reserve", "pack", "pay", "undo pay", "undo reserve"]
    assert rollbacks(rehearsal) == [
        ("@undo", "rollback"),
        ("pay@undo", "undo pay"),
        ("reserve@undo", "undo reserve"),
    ]


def test_an_undo_is_told_what_the_step_did(rehearse: Rehearse, shop: Shop) -> None:
    rehearse(order(shop)).play()

    failed, finished = shop.undos
    assert finished == Undo(
        step="reserve", key="reserve", finished=True, result="reserve done", error=None
    )
    assert (failed.step, failed.key, failed.finished, failed.result) == ("pay", "pay", False, None)
    assert isinstance(failed.error, StepError)
    assert (str(failed.error), failed.error.attempts) == (SOLD_OUT, 1)


def test_a_run_that_succeeds_undoes_nothing(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        return await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")

    assert rehearse(story).play() == finished("reserve done")
    assert shop.did == ["reserve"]


def test_a_failure_that_the_function_handles_undoes_nothing(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        try:
            await undoable.run("pay", shop.fail, "pay")
        except StepError:
            return "unpaid"

    assert rehearse(story).play() == finished("unpaid")
    assert shop.undos == []


def test_a_run_that_cancels_itself_undoes_nothing(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        await context.cancel()

    assert rehearse(story).play() == Canceled()
    assert shop.undos == []


def test_a_run_without_rollback_functions_records_none(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        await context.run("pay", shop.fail, "pay")

    rehearsal = rehearse(story)

    assert_failed(rehearsal.play(), "StepError", SOLD_OUT)
    assert list(rehearsal.recorded) == ["pay"]


@EXTENTS
def test_nothing_is_undone_while_the_function_may_be_tried_again(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        shop.did.append(f"attempt {context.attempt}")
        raise RuntimeError("between steps")

    rehearsal = rehearse(story, retries=1, retry_delay="60000")

    while not rehearsal.journal.attempts:
        assert isinstance(rehearsal.turn(extent), Suspended)
    assert shop.undos == []
    assert_failed(rehearsal.play(extent), "RuntimeError", "between steps")
    assert [undo.step for undo in shop.undos] == ["reserve"]


@pytest.mark.parametrize(
    ("error", "name"),
    [(WorkflowNonRetryableError("stop"), "WorkflowNonRetryableError"), (None, "NotSerializable")],
    ids=["not to be retried", "no JSON"],
)
def test_other_errors_that_are_final_undo_as_well(
    rehearse: Rehearse, shop: Shop, error: Exception | None, name: str
) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        if error is not None:
            raise error
        return {1, 2}

    outcome = rehearse(story, retries=3).play()

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == name
    assert [undo.step for undo in shop.undos] == ["reserve"]


def test_code_that_no_longer_fits_undoes_nothing(
    rehearse: Rehearse, rehearse_workflow: Any, define: Any, shop: Shop
) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        await context.sleep("pause", "1h")

    rehearsal = rehearse(story)
    rehearsal.turn()

    async def other(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        await context.run("pause", shop.do, "pause")

    rehearsal.rewrite(define()(other))
    outcome = rehearsal.turn()

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "IncompatibleHistory"
    assert shop.undos == []


@EXTENTS
def test_steps_of_parallel_branches_are_undone_too(
    rehearse: Rehearse, shop: Shop, clock: Clock, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)

        async def branch() -> Any:
            await undoable.run("book", shop.do, "book")

        await context.parallel(branch, branch)
        await undoable.run("pay", shop.fail, "pay")

    rehearsal = rehearse(story)
    rehearsal.play(extent)

    assert shop.undos[0].key == "pay"
    assert sorted(undo.key for undo in shop.undos) == ["book@1", "book@2", "pay"]
    assert rehearsal.play(extent) == rehearsal.play(extent)
    assert len(shop.undos) == 3


@EXTENTS
def test_a_branch_that_rolls_back_undoes_what_other_branches_did_in_turns_before(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        async def giving_up() -> Any:
            await context.sleep("pause", "1h")
            await context.roll_back()

        async def waiting() -> Any:
            await context.options(rollback=shop.undo).run("book", shop.do, "book")
            await context.wait_for_event("approval", "approved")

        await context.parallel(giving_up, waiting)

    assert rehearse(story).play(extent) == Canceled()
    assert shop.did == ["book", "undo book"]


@EXTENTS
def test_what_another_branch_did_is_undone_by_a_later_attempt_too(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        def undo(undo: Undo) -> None:
            shop.undo(undo)
            if context.attempt == 1:
                raise ConnectionError("no route")

        async def giving_up() -> Any:
            await context.sleep("pause", "1h")
            await context.roll_back()

        async def waiting() -> Any:
            undoable = context.options(rollback=undo, retries=1, retry_delay="10s")
            await undoable.run("book", shop.do, "book")
            await context.wait_for_event("approval", "approved")

        await context.parallel(giving_up, waiting)

    assert rehearse(story).play(extent) == Canceled()
    assert shop.did == ["book", "undo book", "undo book"]


@EXTENTS
def test_a_failure_undoes_also_what_tasks_had_done_that_come_later_to_it_on_a_replay(
    rehearse_workflow: Any, registry: Any, shop: Shop, extent: Extent
) -> None:
    @workflow("story")
    async def story(context: AsyncContext) -> None:
        undoable = context.options(rollback=shop.undo)

        async def failing() -> None:
            await context.sleep("pause", "1h")
            raise WorkflowNonRetryableError("stop")

        async def working() -> None:
            for number in range(3):
                books = (undoable.run(f"book-{number}", shop.do, "book") for _ in range(2))
                await asyncio.gather(*books)
            await context.wait_for_event("approval", "approved")

        await asyncio.gather(failing(), working())

    assert_failed(rehearse_workflow(story).play(extent), "WorkflowNonRetryableError", "stop")
    assert len(shop.undos) == shop.did.count("book") == 6


@EXTENTS
def test_a_failure_undoes_also_what_the_other_tasks_of_its_group_had_done(
    rehearse_workflow: Any, registry: Any, shop: Shop, extent: Extent
) -> None:
    @workflow("story")
    async def story(context: AsyncContext) -> None:
        undoable = context.options(rollback=shop.undo)

        async def failing() -> None:
            await context.sleep("pause", "1h")
            raise WorkflowNonRetryableError("stop")

        async def working() -> None:
            for number in range(3):
                books = (undoable.run(f"book-{number}", shop.do, "book") for _ in range(2))
                await asyncio.gather(*books)
            await context.wait_for_event("approval", "approved")

        async with asyncio.TaskGroup() as group:
            for branch in (failing, working):
                group.create_task(branch())

    rehearse_workflow(story).play(extent)

    assert len(shop.undos) == shop.did.count("book") == 6


def test_the_order_is_that_in_which_steps_were_started(
    rehearse: Rehearse, shop: Shop, clock: Clock
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)

        async def early() -> Any:
            await undoable.run("early", shop.do, "early")

        async def late() -> Any:
            await context.sleep("pause", "1h")
            await undoable.run("late", shop.do, "late")

        await context.parallel(late, early)
        raise WorkflowNonRetryableError("stop")

    rehearse(story).play()

    assert [undo.step for undo in shop.undos] == ["late", "early"]


@EXTENTS
def test_a_step_that_waits_for_its_next_attempt_counts_as_started(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo, retries=5, retry_delay="1h")

        async def retried() -> Any:
            await undoable.run("book", shop.fail, "book")

        async def failing() -> Any:
            await context.sleep("pause", "1m")
            raise WorkflowNonRetryableError("stop")

        await context.parallel(retried, failing)

    rehearsal = rehearse(story)

    assert_failed(rehearsal.play(extent), "WorkflowNonRetryableError", "stop")
    assert shop.did == ["book", "undo book"]
    assert shop.undos == [Undo(step="book", key="book@1", finished=False, result=None, error=None)]


def test_a_step_that_was_never_started_is_not_undone(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await undoable.run("reserve", shop.do, "reserve")
        if context.attempt > 1:
            await undoable.run("pay", shop.do, "pay")
        raise WorkflowNonRetryableError("stop")

    rehearse(story).play()

    assert [undo.step for undo in shop.undos] == ["reserve"]


def test_an_atomic_step_that_did_not_commit_has_nothing_to_undo(
    rehearse: Rehearse, shop: Shop
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await undoable.atomic("reserve", shop.do, "reserve")
        await undoable.atomic("pay", shop.fail, "pay")

    rehearsal = rehearse(story, timeout=timedelta(seconds=30))
    rehearsal.play()

    assert shop.did == ["reserve", "pay", "undo reserve"]


# -- how each is undone


@EXTENTS
def test_an_undo_is_tried_again_by_the_policy_of_its_step(
    rehearse: Rehearse, shop: Shop, clock: Clock, extent: Extent
) -> None:
    attempts: list[Any] = []

    async def story(context: Any) -> Any:
        def undo(undo: Undo) -> None:
            attempts.append((context.attempt, context.idempotency_key.rpartition(":")[2]))
            if context.attempt < 3:
                raise ConnectionError("no route")

        undoable = context.options(retries=2, retry_delay="10s", rollback=undo)
        await undoable.run("reserve", shop.do, "reserve")
        raise WorkflowNonRetryableError("stop")

    rehearsal = rehearse(story)

    assert_failed(rehearsal.play(extent), "WorkflowNonRetryableError", "stop")
    assert attempts == [(1, "reserve@undo"), (2, "reserve@undo"), (3, "reserve@undo")]
    waited = [
        each.retry_at - each.ended_at
        for each in rehearsal.journal.attempts
        if each.retry_at is not None
    ]
    assert waited == [timedelta(seconds=10)] * 2


@EXTENTS
def test_what_cannot_be_undone_is_told_and_the_others_are_undone(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    def refuse(undo: Undo) -> None:
        raise ConnectionError("no route")

    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).run("reserve", shop.do, "reserve")
        await context.options(rollback=refuse).run("pay", shop.do, "pay")
        await context.run("ship", shop.fail, "ship")

    rehearsal = rehearse(story)
    outcome = rehearsal.play(extent)

    assert_failed(
        outcome,
        "StepError",
        'step "ship" failed after 1 attempt: LookupError: no funds; not undone: step "pay": '
        "ConnectionError: no route",
    )
    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["step"] == "ship"
    assert [undo.step for undo in shop.undos] == ["reserve"]
    failed = [step.key for step in rehearsal.journal.steps if step.error is not None]
    assert failed == ["ship", "@undo", "pay@undo"]


def test_what_an_undo_returns_need_not_be_json(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=lambda undo: {1}).run("reserve", shop.do, "reserve")
        raise WorkflowNonRetryableError("stop")

    rehearsal = rehearse(story)

    assert_failed(rehearsal.play(), "WorkflowNonRetryableError", "stop")
    assert rehearsal.recorded["reserve@undo"] is None


def test_the_undoing_of_a_sensitive_step_is_sensitive(rehearse: Rehearse, shop: Shop) -> None:
    def refuse(undo: Undo) -> None:
        raise ConnectionError(f"{undo.result} is not known")

    async def story(context: Any) -> Any:
        secretive = context.options(rollback=refuse, sensitive=True)
        await secretive.run("token", str.lower, "HUNTER2")
        raise WorkflowNonRetryableError("stop")

    rehearsal = rehearse(story)
    outcome = rehearsal.play()

    assert_failed(
        outcome,
        "WorkflowNonRetryableError",
        'stop; not undone: step "token": ConnectionError: [REDACTED]',
    )
    assert all("hunter2" not in (step.error or "") for step in rehearsal.journal.steps)
    assert [step.sensitive for step in rehearsal.journal.steps] == [True, False, True]


def test_an_undo_that_takes_too_long_fails(rehearse: Rehearse, shop: Shop) -> None:
    release = threading.Event()

    async def story(context: Any) -> Any:
        slow = context.options(timeout="0.05s", rollback=lambda undo: release.wait(5))
        await slow.run("reserve", shop.do, "reserve")
        raise WorkflowNonRetryableError("stop")

    outcome = rehearse(story).play()
    release.set()

    assert_failed(
        outcome,
        "WorkflowNonRetryableError",
        'stop; not undone: step "reserve": StepTimeout: step "undo reserve" did not finish within '
        "its timeout of 0.05s",
    )


# -- on request


@EXTENTS
def test_a_run_that_asks_for_it_is_undone_and_ends_as_cancelled(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await undoable.run("reserve", shop.do, "reserve")
        await context.roll_back("the customer has changed her mind")
        await undoable.run("pay", shop.do, "pay")

    rehearsal = rehearse(story)

    assert rehearsal.play(extent) == Canceled()
    assert shop.did == ["reserve", "undo reserve"]
    (mark,) = [step for step in rehearsal.journal.steps if step.key == "@undo"]
    assert (mark.input, mark.result, mark.error) == (
        '"the customer has changed her mind"',
        '["reserve"]',
        None,
    )


def test_a_branch_can_ask_for_it(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=shop.undo)
        await undoable.run("reserve", shop.do, "reserve")

        async def branch() -> Any:
            await context.roll_back()

        await context.parallel(branch)

    assert rehearse(story).play() == Canceled()
    assert [undo.step for undo in shop.undos] == ["reserve"]


@EXTENTS
def test_a_run_that_asks_for_it_fails_when_not_all_can_be_undone(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    def refuse(undo: Undo) -> None:
        raise ConnectionError("no route")

    async def story(context: Any) -> Any:
        await context.options(rollback=refuse).run("reserve", shop.do, "reserve")
        await context.roll_back("too late")

    assert_failed(
        rehearse(story).play(extent),
        "RollbackFailed",
        'the run was to be rolled back (too late); not undone: step "reserve": ConnectionError: '
        "no route",
    )


INSIDE = (
    'step "decide" failed after 1 attempt: StepMisuse: context.roll_back was called inside step '
    '"decide". The workflow function rolls back: return a value from the step, and decide by it.'
)


def test_a_step_cannot_ask_for_it(rehearse_workflow: Any, registry: dict[str, Workflow]) -> None:
    @workflow("order")
    def order(context: Context) -> None:
        context.run("decide", context.roll_back)

    @workflow("order-async")
    async def order_async(context: AsyncContext) -> None:
        await context.run("decide", context.roll_back)

    assert_failed(rehearse_workflow(order).play(), "StepError", INSIDE)
    assert_failed(rehearse_workflow(order_async).play(), "StepError", INSIDE)


@pytest.mark.parametrize("verb", ["cancel", "roll_back", "continue_as_new"])
def test_a_rollback_function_cannot_end_the_run(
    rehearse_workflow: Any, registry: dict[str, Workflow], verb: str
) -> None:
    @workflow("order")
    def order(context: Context) -> None:
        undoable = context.options(rollback=lambda undo: getattr(context, verb)(), retries=3)
        undoable.run("reserve", int)
        raise WorkflowNonRetryableError("stop")

    @workflow("order-async")
    async def order_async(context: AsyncContext) -> None:
        async def undo(undo: Undo) -> None:
            await getattr(context, verb)()

        await context.options(rollback=undo, retries=3).run("reserve", int)
        raise WorkflowNonRetryableError("stop")

    for each in (order, order_async):
        outcome = rehearse_workflow(each).play()

        assert isinstance(outcome, Failed)
        message = loaded(outcome.error)["message"]
        assert message.startswith('stop; not undone: step "reserve": StepMisuse: ')
        assert 'was called inside step "undo reserve"' in message


def test_a_rollback_function_calls_no_steps(
    rehearse_workflow: Any, registry: dict[str, Workflow]
) -> None:
    @workflow("order")
    def order(context: Context) -> None:
        undoable = context.options(rollback=lambda undo: context.run("refund", int))
        undoable.run("reserve", int)
        raise WorkflowNonRetryableError("stop")

    assert_failed(
        rehearse_workflow(order).play(),
        "WorkflowNonRetryableError",
        'stop; not undone: step "reserve": StepMisuse: step "refund" was called inside step "undo '
        'reserve" of run wfr_1. Steps are called by the workflow function itself: return a value '
        "from the outer step and call the inner one after it.",
    )


# -- replays and crashes


@EXTENTS
def test_nothing_new_is_done_once_the_rollback_has_begun(
    rehearse: Rehearse, shop: Shop, clock: Clock, extent: Extent
) -> None:
    """The function may come to other conclusions then, as here by the attempt."""

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=flaky, retries=2, retry_delay="10s")
        await undoable.run("reserve", shop.do, "reserve")
        if context.attempt == 1:
            raise RuntimeError("the first time")
        await context.run("more", shop.do, "more")
        await context.sleep("pause", "1h")

    def flaky(undo: Undo) -> None:
        shop.undo(undo)
        if len(shop.undos) == 1:
            raise ConnectionError("no route")

    rehearsal = rehearse(story)

    assert_failed(rehearsal.play(extent), "RuntimeError", "the first time")
    assert shop.did == ["reserve", "undo reserve", "undo reserve"]
    assert list(rehearsal.recorded) == ["reserve", "@undo", "reserve@undo"]


@EXTENTS
def test_a_crash_in_the_middle_goes_on_where_it_was(
    rehearse: Rehearse, shop: Shop, extent: Extent
) -> None:
    class Crash(BaseException):
        pass

    crashed = threading.Event()

    def undo(undo: Undo) -> None:
        if undo.step == "reserve" and not crashed.is_set():
            crashed.set()
            raise Crash
        shop.undo(undo)

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=undo)
        await undoable.run("reserve", shop.do, "reserve")
        await undoable.run("pack", shop.do, "pack")
        await undoable.run("pay", shop.fail, "pay")

    rehearsal = rehearse(story)
    with pytest.raises(Crash):
        rehearsal.play(extent)

    assert_failed(rehearsal.play(extent), "StepError", SOLD_OUT)
    assert shop.did == ["reserve", "pack", "pay", "undo pay", "undo pack", "undo reserve"]


def test_a_rollback_whose_code_no_longer_fits_says_so(
    rehearse: Rehearse, define: Any, shop: Shop
) -> None:
    def refuse(undo: Undo) -> None:
        raise ConnectionError("no route")

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=refuse, retries=1, retry_delay="10s")
        await undoable.run("reserve", shop.do, "reserve")
        raise WorkflowNonRetryableError("stop")

    rehearsal = rehearse(story)
    assert isinstance(rehearsal.turn(), Suspended)

    async def other(context: Any) -> Any:
        await context.run("renamed", shop.do, "renamed")

    rehearsal.rewrite(define()(other))
    outcome = rehearsal.turn()

    assert isinstance(outcome, Failed)
    assert loaded(outcome.error)["type"] == "IncompatibleHistory"
    assert shop.did == ["reserve"]


def test_a_step_whose_rollback_function_is_gone_cannot_be_undone(
    rehearse: Rehearse, define: Any, shop: Shop, clock: Clock
) -> None:
    def refuse(undo: Undo) -> None:
        raise ConnectionError("no route")

    async def story(context: Any) -> Any:
        undoable = context.options(rollback=refuse, retries=1, retry_delay="10s")
        await undoable.run("reserve", shop.do, "reserve")
        raise WorkflowNonRetryableError("stop")

    rehearsal = rehearse(story)
    rehearsal.turn()

    async def other(context: Any) -> Any:
        await context.run("reserve", shop.do, "reserve")

    rehearsal.rewrite(define()(other))

    assert_failed(
        rehearsal.play(),
        "WorkflowNonRetryableError",
        'stop; not undone: step "reserve": IncompatibleHistory: the code no longer asks for step '
        '"reserve" with a rollback function, which is to undo it: put the old code back and resume '
        "the run from the dead letter queue",
    )


def test_an_async_function_undoes_in_an_async_workflow(
    rehearse_workflow: Any, registry: dict[str, Workflow], shop: Shop
) -> None:
    async def undo(undo: Undo) -> None:
        await asyncio.sleep(0)
        shop.undo(undo)

    @workflow("order")
    async def order(context: Any) -> None:
        undoable = context.options(rollback=undo)
        await undoable.run("reserve", shop.do, "reserve")
        await undoable.run("pay", shop.fail, "pay")

    assert_failed(rehearse_workflow(order).play(), "StepError", SOLD_OUT)
    assert [undo.step for undo in shop.undos] == ["pay", "reserve"]


@EXTENTS
def test_a_step_at_work_when_another_fails_the_run_is_undone_and_not_started_again(
    rehearse_workflow: Any, registry: dict[str, Workflow], shop: Shop, extent: Extent
) -> None:
    async def endless() -> None:
        shop.did.append("endless")
        await asyncio.Event().wait()

    def flaky(undo: Undo) -> None:
        shop.undo(undo)
        if len(shop.undos) == 1:
            raise ConnectionError("no route")

    @workflow("order")
    async def order(context: Any) -> None:
        undoable = context.options(rollback=flaky, retries=1, retry_delay="10s")

        async def failing() -> None:
            await asyncio.sleep(0.01)
            raise WorkflowNonRetryableError("stop")

        await asyncio.gather(undoable.run("endless", endless), failing())

    assert_failed(rehearse_workflow(order).play(extent), "WorkflowNonRetryableError", "stop")
    assert shop.did == ["endless", "undo endless", "undo endless"]
    assert [undo.finished for undo in shop.undos] == [False, False]


# -- misuse


async def undo_async(undo: Undo) -> None: ...


def test_a_plain_workflow_takes_no_async_rollback_function(
    rehearse_workflow: Any, registry: dict[str, Workflow]
) -> None:
    @workflow("order")
    def order(context: Any) -> None:
        context.options(rollback=undo_async)

    assert_failed(
        rehearse_workflow(order).play(),
        "StepMisuse",
        "the rollback function undo_async is async and its workflow is not, so nothing would await "
        "it: write it without async, or the workflow with it",
    )


class Promise:
    def __await__(self) -> Any:
        yield


def test_a_rollback_function_that_only_returns_what_is_to_be_awaited_fails(
    rehearse: Rehearse, shop: Shop
) -> None:
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=lambda undo: Promise())
        await undoable.run("reserve", shop.do, "reserve")
        raise WorkflowNonRetryableError("stop")

    outcome = rehearse(story).play()

    assert isinstance(outcome, Failed)
    assert (
        "returned something to be awaited and is not async itself"
        in loaded(outcome.error)["message"]
    )


def test_an_atomic_step_takes_no_async_rollback_function(
    rehearse_workflow: Any, registry: dict[str, Workflow]
) -> None:
    @workflow("order")
    async def order(context: Any) -> None:
        await context.options(rollback=undo_async).atomic("reserve", int)

    assert_failed(
        rehearse_workflow(order).play(),
        "StepMisuse",
        'step "reserve" is atomic, and so is its undoing: its rollback function is a plain one, '
        "because a transaction of Django lives in one thread; write it without async",
    )


def test_a_rollback_that_is_no_function_is_refused(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        context.options(rollback="refund")

    assert_failed(
        rehearse(story).play(),
        "StepMisuse",
        "rollback is a function, which is given an Undo, not 'refund'; values of the workflow "
        "reach it by a lambda: rollback=lambda undo: refund(order)",
    )


def test_a_sleep_cannot_be_undone(rehearse: Rehearse, shop: Shop) -> None:
    async def story(context: Any) -> Any:
        await context.options(rollback=shop.undo).sleep("pause", "1h")

    assert_failed(
        rehearse(story).play(),
        "StepMisuse",
        'step "pause" is a sleep, and a rollback function undoes what another function did: give '
        "it to context.run or context.atomic, and call this step on a context without",
    )


def test_no_step_may_be_named_like_the_undoing_of_another(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("pay@undo", int)

    assert_failed(
        rehearse(story).play(),
        "StepMisuse",
        "a step's name must not end in \"@undo\", as 'pay@undo' does: that marks what is undone",
    )
