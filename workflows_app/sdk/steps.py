"""A step to be executed: its policy, what became of an attempt, what it was called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

from workflows_app.errors import (
    InvalidInput,
    StepError,
    StepMisuse,
    StepTimeout,
    WorkflowNonRetryableError,
    WorkflowRetryAfterError,
    WorkflowTimeoutError,
)
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.delays import Backoff, RetryDelay
from workflows_app.protocol.delays import retry_delay as read_delay
from workflows_app.protocol.durations import author_duration, format_duration, parse_duration
from workflows_app.protocol.runs import StepKind
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.sdk.rollback import RollbackFunction, check_rollback

_SHOWN_INPUT = 10_000
"""Characters of an input that are stored."""
Delay: TypeAlias = "Callable[[Ask, Exception], Any]"
"""Gives the delay of a retry, plain or awaited, for what has failed and why."""
CALLS_A_FUNCTION = (StepKind.RUN, StepKind.ATOMIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """Policy of a step; None means the run's.

    A `policy` is kept from the first attempt on, whatever the code says later, and stands above
    `retries`, `retry_delay` and `timeout`; `delay` says what it leaves open. `undoing` is how the
    step is undone; None means as itself.
    """

    retries: int | None = None
    retry_delay: RetryDelay | None = None
    timeout: timedelta | None = None
    sensitive: bool | None = None
    rollback: RollbackFunction | None = None
    policy: StepPolicy | None = None
    delay: Delay | None = None
    undoing: StepOptions | None = None

    @property
    def differ(self) -> bool:
        """Whether the step has a policy of its own."""
        return (self.retries, self.retry_delay, self.timeout) != (None, None, None)

    def changed(  # noqa: PLR0913 - one keyword per option
        self,
        *,
        retries: int | None = None,
        retry_delay: timedelta | str | None = None,
        backoff: Backoff | None = None,
        timeout: timedelta | str | None = None,
        sensitive: bool | None = None,
        rollback: RollbackFunction | None = None,
    ) -> StepOptions:
        """These, changed where a value is given. Raises InvalidInput, StepMisuse."""
        check_rollback(rollback)
        return replace(
            self,
            retries=self.retries if retries is None else retries,
            retry_delay=read_delay(self.retry_delay, retry_delay, backoff),
            timeout=self.timeout if timeout is None else author_duration(timeout),
            sensitive=self.sensitive if sensitive is None else sensitive,
            rollback=self.rollback if rollback is None else rollback,
        )

    def check(self, name: str, kind: StepKind) -> None:
        """Raises StepMisuse for what a step of this kind does not take."""
        if self.sensitive and kind not in CALLS_A_FUNCTION:
            raise StepMisuse(
                f'step "{name}" is a {kind}, and sensitive=True hides what a function returned: '
                "call it on a context without; what a whole run receives and sends is hidden by "
                'trigger(..., redact="body")'
            )
        if self.rollback is not None and kind not in CALLS_A_FUNCTION:
            raise StepMisuse(
                f'step "{name}" is a {kind}, and a rollback function undoes what another function '
                "did: give it to context.run or context.atomic, and call this step on a context "
                "without"
            )
        if kind is StepKind.ATOMIC and inspect.iscoroutinefunction(self.rollback):
            raise StepMisuse(
                f'step "{name}" is atomic, and so is its undoing: its rollback function is a plain '
                "one, because a transaction of Django lives in one thread; write it without async"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A step that has no result yet and is to be executed now."""

    key: str
    name: str
    kind: StepKind
    branch: str
    policy: RetryPolicy | StepPolicy
    timeout: timedelta | None
    attempt: int
    sensitive: bool = False
    config: str | None = None
    """See `StepRecord.config`."""
    delay: Delay | None = None

    @property
    def hides_errors(self) -> bool:
        """A policy that says what is hidden hides no errors."""
        return self.sensitive and not isinstance(self.policy, StepPolicy)

    @property
    def may_return_awaitables(self) -> bool:
        """Whether a plain function may return what an async one did, as `lambda: fetch(url)`."""
        return isinstance(self.policy, StepPolicy)

    def timed_out(self, timeout: timedelta) -> StepTimeout:
        if isinstance(self.policy, StepPolicy):
            milliseconds = timeout // timedelta(milliseconds=1)
            return WorkflowTimeoutError(f"Execution timed out after {milliseconds}ms")
        return StepTimeout(
            f'step "{self.name}" did not finish within its timeout of {format_duration(timeout)}'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledPolicy:
    """What holds for an attempt, and what is stored with it."""

    policy: RetryPolicy | StepPolicy
    timeout: timedelta | None
    config: str | None
    delay: Delay | None = None


def settled_policy(policy: StepPolicy, delay: Delay | None, stored: str | None) -> SettledPolicy:
    """What was stored with the first attempt holds, but for a delay that only code can give."""
    if stored is not None:
        kept = StepPolicy.decode(stored)
        fixed = policy.delay if kept.delay is None else kept.delay
        policy, delay = replace(kept, delay=fixed), None if kept.delay is not None else delay
    config = policy.encode() if stored is None else stored
    return SettledPolicy(policy=policy, timeout=policy.timeout, config=config, delay=delay)


def delay_before_retry(
    policy: RetryPolicy | StepPolicy, failures: int, error: Exception
) -> timedelta | None:
    """How long to wait after the `failures`-th failed attempt; None when there is no other."""
    if isinstance(error, WorkflowNonRetryableError | InvalidInput | StepMisuse):
        return None
    delay = policy.delay_after(failures)
    if delay is not None and isinstance(error, WorkflowRetryAfterError):
        return parse_duration(error.retry_after)
    return delay


def cause_of_failure(ask: Ask, error: Exception) -> Exception | None:
    """What the error of a step may name as its cause: tracebacks show what that says."""
    return None if ask.hides_errors else error


def step_behind(error: BaseException | None) -> StepError | None:
    """The recorded step's failure that led to it, if one did: every replay would raise it again."""
    while error is not None:
        if isinstance(error, StepError):
            return error
        if isinstance(error, BaseExceptionGroup):
            return next(filter(None, map(step_behind, error.exceptions)), None)
        error = error.__cause__ or error.__context__
    return None


def describe_input(ask: Ask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """What a step was called with, for people to read: JSON where it is, else its `repr`."""
    if ask.sensitive or (not args and not kwargs):
        return None
    given: Any = list(args) if not kwargs else {"args": list(args), "kwargs": kwargs}
    try:
        text = encode_json(given)
    except InvalidInput:
        text = encode_json(_readable(given))
    return text if len(text) <= _SHOWN_INPUT else encode_json(text[:_SHOWN_INPUT] + "…")


def _readable(given: Any) -> Any:
    if isinstance(given, dict):
        return {str(name): _readable(value) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return [_readable(value) for value in given]
    return given if isinstance(given, str | int | bool | None) else repr(given)
