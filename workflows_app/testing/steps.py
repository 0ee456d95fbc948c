"""What a test has steps do instead of what they would do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from workflows_app.errors import InvalidInput
from workflows_app.protocol.runs import StepKind
from workflows_app.sdk.steps import Ask

_WITH_FUNCTIONS = (StepKind.RUN, StepKind.ATOMIC, StepKind.ROLLBACK)

NOT_GIVEN: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepName:
    """Steps of this name, or the one of this key, in one workflow or in all."""

    step: str
    workflow: str | None

    def names(self, workflow: str, name: str, key: str) -> bool:
        return self.workflow in (None, workflow) and self.step in (name, key)

    def __str__(self) -> str:
        of = "" if self.workflow is None else f' of workflow "{self.workflow}"'
        return f'step "{self.step}"{of}'


@dataclass(slots=True, kw_only=True, eq=False)
class _Script:
    name: StepName
    function: Callable[..., Any]
    left: int | None
    """For how many attempts it holds; None for all."""
    is_fault: bool
    used: int = 0


class StepScripts:
    """Stand-ins for the functions of steps; the newest that holds for a step counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: list[_Script] = []

    def replace(self, name: StepName, function: Callable[..., Any]) -> None:
        self._add(_Script(name=name, function=function, left=None, is_fault=False))

    def fail(self, name: StepName, times: int, error: BaseException | type[BaseException]) -> None:
        if times < 1:
            raise InvalidInput(f"{name} cannot fail {times} times: times is 1 or more")
        function = partial(_raise, error)
        self._add(_Script(name=name, function=function, left=times, is_fault=True))

    def stand_in(self, workflow: str, ask: Ask) -> Callable[..., Any] | None:
        """What is called in the place of the step's own function, for this attempt."""
        if ask.kind not in _WITH_FUNCTIONS:
            return None
        with self._lock:
            for script in reversed(self._scripts):
                if script.left != 0 and script.name.names(workflow, ask.name, ask.key):
                    script.used += 1
                    script.left = None if script.left is None else script.left - 1
                    return script.function
        return None

    def unused_faults(self) -> list[str]:
        return [
            f"{script.name} was to fail, but was never executed"
            for script in self._scripts
            if script.is_fault and not script.used
        ]

    def _add(self, script: _Script) -> None:
        with self._lock:
            self._scripts.append(script)


def stand_in_of(
    name: StepName, returns: Any, raises: Any, calls: Callable[..., Any] | None
) -> Callable[..., Any]:
    """Raises InvalidInput unless just one of the three is given."""
    given = [returns is not NOT_GIVEN, raises is not None, calls is not None]
    if sum(given) != 1:
        raise InvalidInput(
            f"{name} is mocked by one of returns=…, raises=… and calls=…; {sum(given)} were given"
        )
    if calls is not None:
        return calls
    return partial(_return, returns) if raises is None else partial(_raise, raises)


def _return(value: Any, /, *_: Any, **__: Any) -> Any:
    return value


def _raise(error: BaseException | type[BaseException], /, *_: Any, **__: Any) -> Any:
    raise error
