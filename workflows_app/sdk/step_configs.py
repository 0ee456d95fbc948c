"""Names and policies of steps in class-based workflows, read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from workflows_app.errors import InvalidDuration, InvalidInput, StepMisuse, WorkflowFatalError
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.delays import Backoff, read_expression
from workflows_app.protocol.runs import RunInfo
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.protocol.worded_durations import worded_duration
from workflows_app.sdk.given import Given
from workflows_app.sdk.scopes import MAX_NAME, check_name
from workflows_app.sdk.steps import Ask, Delay, StepOptions

Duration: TypeAlias = timedelta | str | float
"""Such as "10 seconds", "10s" or a timedelta; a number counts milliseconds."""
MAX_RETRIES = 10_000
_CONTROL = re.compile(r"[\x00-\x1f]")


class _Retries(TypedDict):
    limit: int
    delay: Duration | Callable[[Given], Any]


class Retries(_Retries, total=False):
    """`limit` counts the attempts after the first. A function as `delay` is given a `ctx` and an
    `error` each time, and may be async.
    """

    backoff: Backoff


class WorkflowStepConfig(TypedDict, total=False):
    """The policy of a step; `timeout` bounds each attempt."""

    retries: Retries
    timeout: Duration
    sensitive: Literal["output"]


Config: TypeAlias = WorkflowStepConfig | Mapping[str, Any]
_OF_A_STEP = tuple(WorkflowStepConfig.__annotations__)
OF_A_ROLLBACK = ("retries", "timeout")
_OF_RETRIES = ("limit", "delay", "backoff")


def check_step_name(name: object) -> str:
    """Raises WorkflowFatalError."""
    if callable(name):
        raise WorkflowFatalError('write "@step.do()", with parentheses, above the function')
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or _CONTROL.search(name):
        raise WorkflowFatalError(
            f"a step's name is a text of 1 to {MAX_NAME} characters without control characters, "
            f"not {name!r:.80}"
        )
    try:
        check_name(name)
    except (StepMisuse, InvalidInput) as error:
        raise WorkflowFatalError(str(error)) from None
    return name


def check_function(step: str, function: object) -> None:
    """Raises WorkflowFatalError for what cannot be called."""
    if not callable(function):
        raise WorkflowFatalError(
            f'step "{step}" is given {function!r:.80} where its function stands: write '
            "step.do(name, function, config), or @step.do(name, config=…) above the function"
        )


def options_for(
    step: str,
    config: Config | None,
    run: RunInfo,
    ctx_of: Callable[[Ask], Given],
    known: tuple[str, ...] = _OF_A_STEP,
) -> StepOptions:
    """The options of a step with this config; what it leaves out is up to the run.

    Raises WorkflowFatalError.
    """
    said = _mapping(f'the config of step "{step}"', {} if config is None else config, known)
    retries, delay, backoff, by_code = _retries(step, said.get("retries"), run, ctx_of)
    policy = StepPolicy(
        retries=retries,
        delay=delay,
        backoff=backoff,
        timeout=_timeout(step, said["timeout"]) if "timeout" in said else run.timeout,
        hides_output=_hides_output(step, said.get("sensitive")),
    )
    return StepOptions(policy=policy, delay=by_code, sensitive=policy.hides_output or None)


def _retries(
    step: str, said: Any, run: RunInfo, ctx_of: Callable[[Ask], Given]
) -> tuple[int, timedelta | None, Backoff, Delay | None]:
    if said is None:
        delay = read_expression(run.retry_delay)
        policy = RetryPolicy(retries=run.retries, delay_expression=run.retry_delay)
        by_run = None if delay.base is not None else partial(_delay_by, policy)
        return run.retries, delay.base, delay.backoff, by_run
    what = f'the retries of step "{step}"'
    said = _mapping(what, said, _OF_RETRIES)
    if not {"limit", "delay"} <= said.keys():
        raise WorkflowFatalError(
            f'{what} are a dict with both "limit" and "delay", not {said!r:.80}'
        )
    limit, first, backoff = said["limit"], said["delay"], said.get("backoff", "exponential")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= MAX_RETRIES:
        raise WorkflowFatalError(
            f"the limit of {what} is the number of attempts after the first, 0 to {MAX_RETRIES}, "
            f"not {limit!r:.80}"
        )
    if backoff not in get_args(Backoff):
        raise WorkflowFatalError(
            f'the backoff of {what} is "constant", "linear" or "exponential", not {backoff!r:.80}'
        )
    if callable(first):
        return limit, None, backoff, lambda ask, error: first(Given(ctx=ctx_of(ask), error=error))
    return limit, read_duration(f"the delay of {what}", first), backoff, None


def _delay_by(policy: RetryPolicy, ask: Ask, _: Exception) -> timedelta | None:
    return policy.delay_after(ask.attempt)


def _timeout(step: str, said: Any) -> timedelta:
    timeout = read_duration(f'the timeout of step "{step}"', said)
    if not timeout:
        raise WorkflowFatalError(
            f'the timeout of step "{step}" is 0, so no attempt could come to its end in time: say '
            "more, or nothing"
        )
    return timeout


def _hides_output(step: str, said: Any) -> bool:
    if said not in (None, "output"):
        raise WorkflowFatalError(
            f'"output" is all that can be sensitive of step "{step}", not {said!r:.80}'
        )
    return said is not None


def read_duration(what: str, said: Any) -> timedelta:
    """Raises WorkflowFatalError."""
    try:
        return worded_duration(said)
    except InvalidDuration as error:
        raise WorkflowFatalError(f"{what}: {error}") from None


def _mapping(what: str, said: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise WorkflowFatalError(f"{what} is a dict with {', '.join(known)}, not {said!r:.80}")
    for name in said:
        if name not in known:
            raise WorkflowFatalError(
                f"{what} says {name!r:.80}, which is not one of {', '.join(known)}"
            )
    return said
