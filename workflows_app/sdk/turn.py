"""Drive one turn of a workflow function, sync or async, and say how it ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from asgiref.sync import AsyncToSync

from workflows_app.errors import (
    IncompatibleHistory,
    InvalidInput,
    LimitExceeded,
    NotSerializable,
    StepError,
    StepMisuse,
    WorkflowNonRetryableError,
)
from workflows_app.protocol.codec import encode_value
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import (
    Canceled,
    ContinuedAsNew,
    Failed,
    FailedAttempt,
    Finished,
    History,
    RunInfo,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.authoring import Workflow, middlewares_of
from workflows_app.sdk.base_context import BaseContext, Ports, current_scope, current_step
from workflows_app.sdk.context import Context
from workflows_app.sdk.interrupts import CancelRun, ContinueAsNew, Halt, Interrupt, ordinary_errors
from workflows_app.sdk.misuse import check_returned
from workflows_app.sdk.observers import NOBODY, Observers
from workflows_app.sdk.replay import Extent, Replay
from workflows_app.sdk.sagas import (
    Rollback,
    UndoStep,
    how_it_ended,
    is_to_be_undone,
    parted,
    rollback_after,
    rollback_of,
    what_remains,
)
from workflows_app.sdk.steps import step_behind
from workflows_app.sdk.telling import tell
from workflows_app.sdk.undoing import undo, undo_in_a_loop

_FINAL = (
    StepError,
    StepMisuse,
    WorkflowNonRetryableError,
    InvalidInput,
    IncompatibleHistory,
)
"""What a replay could only raise again."""


def run_turn(  # noqa: PLR0913 - a turn's surroundings
    workflow: Workflow,
    run: RunInfo,
    history: History,
    ports: Ports,
    *,
    now: Callable[[], datetime],
    max_result_bytes: int,
    extent: Extent = Extent.TO_THE_NEXT_WAIT,
) -> TurnOutcome:
    """Replay the function over its history and go on until it ends or waits.

    Raises what `ports.recorder` raises: LeaseLost, or the database's errors.
    """

    def begin(history: History, extent: Extent) -> Replay:
        replay = Replay(run, history, now, max_result_bytes, extent)
        ports.watch(replay.in_flight)
        return replay

    watched = () if extent is Extent.RECORDED else middlewares_of(workflow)
    if not watched:
        return _take_turn(workflow, history, ports, begin, extent)
    context = BaseContext(begin(History(failures=history.failures), extent), ports)
    observers = Observers(watched, run.workflow, context)
    tell(observers.run_starts(history))
    watching = replace(ports, observers=observers)
    outcome = _take_turn(workflow, history, watching, begin, extent)
    tell(observers.turn_ends(outcome, now()))
    if isinstance(outcome, Suspended):
        return replace(outcome, observed=observers.memory())
    return outcome


Begin = Callable[[History, Extent], Replay]


def _take_turn(
    workflow: Workflow, history: History, ports: Ports, begin: Begin, extent: Extent
) -> TurnOutcome:
    forward, begun = parted(history)
    if extent is Extent.RECORDED:
        return drive(workflow, begin(forward, extent), ports)
    rest = partial(begin, forward, Extent.RECORDED)
    if begun is None and not history.roll_back:
        replay = begin(forward, extent)
        outcome = drive(workflow, replay, ports)
        outcome, rollback = with_rollback(workflow, replay, ports, outcome, rest)
    else:
        # A run that is rolled back does nothing new.
        replay = rest()
        if (misfit := ask_again(workflow, replay, ports)) is not None:
            return misfit
        outcome, rollback = Canceled(), begun or rollback_of(replay.saga)
    if rollback is None:
        return outcome
    if begun is None:
        ports.recorder.record([rollback.record(replay.now())], [])
        if extent is Extent.ONE_BATCH:
            # Whoever stores the entry does so after this delivery: nothing may be undone before.
            return Suspended(wake_at=replay.now())
    undoing = begin(History(failures=history.failures), extent)
    return undo_steps(workflow, undoing, ports, what_remains(rollback, replay.saga), rollback)


def drive(workflow: Workflow, replay: Replay, ports: Ports) -> TurnOutcome:
    """Call the function once, with a replay of the caller's. What it rolls back is left to whoever
    calls.
    """
    started_at = replay.now()
    try:
        value = _call(workflow, replay, ports)
        replay.check_not_swallowed()
        replay.check_all_asked()
        check_returned(value, workflow.name, replay.run.run_id)
        return Finished(result=None if value is None else _encode_result(replay, value))
    except Interrupt as interrupt:
        return _interrupted(replay, ports, interrupt)
    except _FINAL as error:
        return _failed(replay, ports, error)
    except Exception as error:  # noqa: BLE001 - the function may raise anything
        if workflow.entrypoint is not None:
            return _failed(replay, ports, error)
        return _function_failed(replay, ports, error, started_at)


def with_rollback(
    workflow: Workflow,
    replay: Replay,
    ports: Ports,
    outcome: TurnOutcome,
    rest: Callable[[], Replay],
) -> tuple[TurnOutcome, Rollback | None]:
    """How a turn ends that ended so, and what is to be undone after it. `rest` makes a replay that
    finds what branches have recorded which were behind when it ended.
    """
    if is_to_be_undone(outcome, replay.stopped) and replay.has_left_out():
        behind = rest()
        if (misfit := ask_again(workflow, behind, ports)) is not None:
            return misfit, None
        replay.saga.learn(behind.saga)
    return outcome, rollback_after(replay.saga, outcome, replay.stopped)


def ask_again(workflow: Workflow, replay: Replay, ports: Ports) -> Failed | None:
    """Have the function ask for what it has recorded, to learn its rollback functions.

    How it ends was decided before, except where the code no longer fits. Each branch comes as far
    as it is recorded, whatever becomes of the others.
    """
    replay.root.replays = True
    with suppress(Exception, Interrupt):
        _call(workflow, replay, replace(ports, recorder=_Deaf(), observers=NOBODY))
    match replay.stopped:
        case Halt(cause=IncompatibleHistory() as error):
            return _failed(replay, ports, error)
    return None


class _Deaf:
    """A `Recorder` of what nobody is to know."""

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        return {}

    def atomic(self, execute: Callable[[], StepRecord]) -> NoReturn:
        raise AssertionError("no step is executed")


def undo_steps(
    workflow: Workflow,
    replay: Replay,
    ports: Ports,
    steps: list[UndoStep],
    rollback: Rollback,
) -> TurnOutcome:
    """Undo these, the last ones of the rollback, as far as the replay goes."""
    try:
        failed = (undo_in_a_loop if workflow.is_async else undo)(steps, replay, ports)
    except Interrupt as interrupt:
        return _interrupted(replay, ports, interrupt)
    return how_it_ended(rollback, failed)


def _call(workflow: Workflow, replay: Replay, ports: Ports) -> Any:
    """Call the function as if from nowhere: whoever drives this turn may be a step of another."""
    step, scope = current_step.set(None), current_scope.set(None)
    try:
        return _call_in_shell(workflow, replay, ports)
    finally:
        replay.is_over = True
        current_scope.reset(scope)
        current_step.reset(step)


def _call_in_shell(workflow: Workflow, replay: Replay, ports: Ports) -> Any:
    if not workflow.is_async:
        with ordinary_errors:
            return workflow.function(Context(replay, ports))  # type: ignore[arg-type]  # is_async tells which
    # In a loop of its own, as it ends with the turn: a caller may have one, with tasks of others.
    return AsyncToSync(_drive, force_new_loop=True)(workflow, replay, ports)


async def _drive(workflow: Workflow, replay: Replay, ports: Ports) -> Any:
    return await AsyncContext(replay, ports).drive(workflow.function)  # type: ignore[arg-type]  # is_async tells which


def _interrupted(replay: Replay, ports: Ports, interrupt: Interrupt) -> TurnOutcome:
    match interrupt:
        case Halt(cause=(IncompatibleHistory() | StepMisuse() | LimitExceeded()) as error):
            return _failed(replay, ports, error)
        case Halt():
            raise interrupt.cause
        case CancelRun():
            return Canceled()
        case ContinueAsNew(payload=payload, content_type=content_type):
            return ContinuedAsNew(payload=payload, content_type=content_type)
        case _:
            if marks := replay.patches.decide_postponed():
                ports.recorder.record(marks, [])
            return replay.suspended()


def _failed(replay: Replay, ports: Ports, error: Exception) -> Failed:
    tell(ports.observers.function_failed(error, replay.function_attempt))
    return Failed(error=_describe(error))


def _function_failed(
    replay: Replay, ports: Ports, error: Exception, started_at: datetime
) -> TurnOutcome:
    attempt = replay.function_failed(error, started_at)
    ports.recorder.record([], [attempt])
    tell(ports.observers.function_failed(error, attempt.number, attempt.retry_at))
    if attempt.retry_at is None:
        return Failed(error=_describe(error))
    replay.wait(replay.root, attempt.retry_at)
    return replay.suspended()


def _encode_result(replay: Replay, value: Any) -> str:
    try:
        result = encode_value(value)
    except NotSerializable as error:
        raise NotSerializable(f"the workflow's return value cannot be stored: {error}") from None
    replay.check_size("the workflow", result)
    return result


def _describe(error: Exception) -> str:
    return describe_error(error, step_behind(error))
