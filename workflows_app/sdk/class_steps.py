"""What the steps of a class-based workflow have in common, whether they are awaited or not."""

from __future__ import annotations

import inspect
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, wraps
from typing import Any, TypeAlias

from workflows_app.errors import (
    InvalidDuration,
    InvalidInput,
    WorkflowFatalError,
    WorkflowTimeoutError,
)
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import parse_moment, unix_milliseconds
from workflows_app.protocol.runs import StepRecord
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.sdk.base_context import BaseContext, current_step
from workflows_app.sdk.events import EventResult
from workflows_app.sdk.given import Given
from workflows_app.sdk.raised import error_named
from workflows_app.sdk.rollback import RollbackFunction, Undo
from workflows_app.sdk.step_configs import (
    OF_A_ROLLBACK,
    Duration,
    check_function,
    check_step_name,
    options_for,
    read_duration,
)
from workflows_app.sdk.step_definitions import Definition, Definitions
from workflows_app.sdk.steps import Ask, StepOptions

Moment: TypeAlias = datetime | str | float
"""A number counts seconds since 1970, or milliseconds where it is too large for that."""
Rollback: TypeAlias = Callable[[Given], Any] | Mapping[str, Any]
"""What undoes a step: a function, or a dict of that as `rollback` and of a `rollbackConfig`."""
DEFAULT_TIMEOUT = "24 hours"
_WAITS = (timedelta(seconds=1), timedelta(days=365))
_EVENT_TYPE = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}")
_MILLISECONDS_FROM = 100_000_000_000
"""In seconds that is the year 5138, in milliseconds 1973."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a step, ready to be made."""

    name: str
    function: Callable[..., Any]
    options: StepOptions


class Steps:
    """Of one turn: what is defined, and how often which name was called."""

    def __init__(self, context: BaseContext) -> None:
        self._info = context._info
        self._replay = context._replay
        self._definitions = Definitions()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @cached_property
    def _options(self) -> StepOptions:
        """Of a step that says nothing."""
        return options_for("", None, self._info, lambda ask: Given())

    def _prepare(self, definition: Definition) -> Call:
        """Raises WorkflowFatalError."""
        name = check_step_name(definition.name)
        check_function(name, definition.function)
        with self._lock:
            self._counts[name] += 1
            step = Given(name=name, count=self._counts[name])

        def ctx_of(ask: Ask) -> Given:
            return _ctx(step, ask)

        options = self._options
        if definition.config is not None:
            options = options_for(name, definition.config, self._info, ctx_of)
        if definition.rollback is not None:
            function, config = _read_rollback(name, definition.rollback)
            undoing = options_for(name, config, self._info, ctx_of, OF_A_ROLLBACK)
            options = replace(options, rollback=_undoing(function, step), undoing=undoing)
        return Call(name=name, function=_given_ctx(definition, step), options=options)

    def _sleep_of(self, name: str, duration: Duration) -> timedelta:
        """Raises WorkflowFatalError."""
        return read_duration(f'step "{check_step_name(name)}" sleeps', duration)

    def _event_of(self, event_type: str, came: StepRecord, timeout: timedelta) -> Given:
        """Raises WorkflowTimeoutError."""
        result = EventResult.from_result(self._replay.value_of(came))
        if result.timeout:
            milliseconds = timeout // timedelta(milliseconds=1)
            raise WorkflowTimeoutError(f"Execution timed out after {milliseconds}ms")
        return Given(type=event_type, payload=result.event_data, timestamp=came.ended_at)


def moment_of(name: str, said: Moment) -> datetime:
    """Raises WorkflowFatalError."""
    check_step_name(name)
    try:
        if isinstance(said, int | float) and said >= _MILLISECONDS_FROM:
            said = said / 1000
        return parse_moment(said)
    except (InvalidDuration, OverflowError) as error:
        raise WorkflowFatalError(f'step "{name}" cannot sleep: {error}') from None


def end_of_sleep(until: datetime) -> tuple[datetime, str]:
    """As the journal has it."""
    return until, encode_json(until.isoformat())


def check_sleep(sleep: StepRecord) -> None:
    """Raises InvalidInput for one whose end had passed before it began, on each replay alike."""
    if unix_milliseconds(sleep.ended_at) < unix_milliseconds(sleep.started_at):
        raise InvalidInput(
            f'step "{sleep.name}" cannot sleep until {sleep.ended_at}, which has passed'
        )


def check_wait(name: str, event_type: Any, timeout: Duration) -> timedelta:
    """How long to wait. Raises WorkflowFatalError."""
    check_step_name(name)
    if not isinstance(event_type, str) or not _EVENT_TYPE.fullmatch(event_type):
        raise WorkflowFatalError(
            f'step "{name}" waits for an event of type {event_type!r:.80}: a type has 1 to 100 '
            "letters, digits, _ and -, and does not begin with -"
        )
    length = read_duration(f'the timeout of step "{name}"', timeout)
    shortest, longest = _WAITS
    if not shortest <= length <= longest:
        raise WorkflowFatalError(
            f'step "{name}" waits for {length}: the timeout of an event is 1 second to 365 days'
        )
    return length


def _ctx(step: Given, ask: Ask) -> Given:
    assert isinstance(ask.policy, StepPolicy)  # noqa: S101 - as `options_for` has made it
    config = ask.policy.as_json()
    if ask.policy.delay is None:
        del config["retries"]["delay"]
    return Given(step=step, attempt=ask.attempt, config=Given(config))


def _current_ctx(step: Given) -> Given:
    ask = current_step.get()
    assert ask is not None  # noqa: S101 - asked for by a step's own function
    return _ctx(step, ask)


def _given_ctx(definition: Definition, step: Given) -> Callable[..., Any]:
    """The step's function; when it takes its context, it is given that."""
    function = definition.function
    if not definition.takes_context:
        return function
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            given = definition.arguments_in(_current_ctx(step), args, kwargs)
            return await function(*given.args, **given.kwargs)

        return call

    @wraps(function)
    def call_plain(*args: Any, **kwargs: Any) -> Any:
        given = definition.arguments_in(_current_ctx(step), args, kwargs)
        return function(*given.args, **given.kwargs)

    return call_plain


def _read_rollback(step: str, said: Any) -> tuple[Callable[[Given], Any], Any]:
    """The function and its config. Raises WorkflowFatalError."""
    if callable(said):
        return said, None
    is_known = isinstance(said, Mapping) and said.keys() <= {"rollback", "rollbackConfig"}
    if not is_known or not callable(said.get("rollback")):
        raise WorkflowFatalError(
            f'the rollback of step "{step}" is a function, or a dict of that as "rollback" and of '
            f'its "rollbackConfig", not {said!r:.80}'
        )
    return said["rollback"], said.get("rollbackConfig")


def _undoing(function: Callable[[Given], Any], step: Given) -> RollbackFunction:
    def given(undo: Undo) -> Given:
        return Given(
            ctx=_current_ctx(step),
            error=undo.cause or error_named("Terminated", "the run was terminated"),
            output=undo.result,
            stepName=f"{step.name}-{step.count}",
        )

    if inspect.iscoroutinefunction(function):

        async def undo_awaited(undo: Undo) -> Any:
            return await function(given(undo))

        return undo_awaited
    return lambda undo: function(given(undo))
