"""Drive one turn of a workflow function, sync or async, and say how it ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from asgiref.sync import AsyncToSync

from workflows_app.errors import (
    IncompatibleHistory,
    InvalidInput,
    NotSerializable,
    StepError,
    StepMisuse,
    WorkflowNonRetryableError,
)
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import (
    Canceled,
    ContinuedAsNew,
    Failed,
    Finished,
    History,
    RunInfo,
    TurnOutcome,
)
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.base_context import Ports, current_scope, current_step
from workflows_app.sdk.context import Context
from workflows_app.sdk.interrupts import CancelRun, ContinueAsNew, Halt, Interrupt, ordinary_errors
from workflows_app.sdk.replay import Extent, Replay
from workflows_app.sdk.steps import step_behind

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
    replay = Replay(run, history, now, max_result_bytes, extent)
    started_at = now()
    try:
        value = _call(workflow, replay, ports)
        replay.check_not_swallowed()
        replay.check_all_asked()
        return Finished(result=None if value is None else _encode_result(replay, value))
    except Interrupt as interrupt:
        return _interrupted(replay, ports, interrupt)
    except _FINAL as error:
        return Failed(error=_describe(error))
    except Exception as error:  # noqa: BLE001 - the function may raise anything
        return _function_failed(replay, ports, error, started_at)


def _call(workflow: Workflow, replay: Replay, ports: Ports) -> Any:
    """Call the function as if from nowhere: whoever drives this turn may be a step of another."""
    step, scope = current_step.set(None), current_scope.set(None)
    try:
        return _call_in_shell(workflow, replay, ports)
    finally:
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
        case Halt(cause=(IncompatibleHistory() | StepMisuse()) as error):
            return Failed(error=_describe(error))
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


def _function_failed(
    replay: Replay, ports: Ports, error: Exception, started_at: datetime
) -> TurnOutcome:
    attempt = replay.function_failed(error, started_at)
    ports.recorder.record([], [attempt])
    if attempt.retry_at is None:
        return Failed(error=_describe(error))
    replay.wait(replay.root, attempt.retry_at)
    return replay.suspended()


def _encode_result(replay: Replay, value: Any) -> str:
    try:
        result = encode_json(value)
    except NotSerializable as error:
        raise NotSerializable(f"the workflow's return value cannot be stored: {error}") from None
    replay.check_size("the workflow", result)
    return result


def _describe(error: Exception) -> str:
    return describe_error(error, step_behind(error))
