"""Steps of a class-based workflow as their author defines them, and which of them need the results
of which others. Knows neither threads nor await.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workflows_app.errors import WorkflowFatalError
from workflows_app.sdk.step_configs import Config

CONTEXT = "ctx"
"""The parameter that is given what the attempt is about."""
_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_ANYTHING = inspect.signature(lambda *args, **kwargs: None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Definition:
    """A step that can be called. `depends` are steps whose results are its first arguments."""

    name: Any
    """A text, unless its author errs."""
    function: Callable[..., Any]
    config: Config | None = None
    rollback: Any = None
    depends: Sequence[Callable[..., Any]] = ()
    concurrent: bool = False

    @property
    def takes_context(self) -> bool:
        return CONTEXT in self._signature.parameters

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What is given, by parameter. Raises WorkflowFatalError for what the function does not
        take.
        """
        try:
            return self._without_context.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise WorkflowFatalError(f'step "{self.name}" was called wrongly: {error}') from None

    def needs(self, given: Mapping[str, Any]) -> dict[str, inspect.Parameter]:
        """The parameters that are left."""
        return {
            each.name: each
            for each in self._without_context.parameters.values()
            if each.name not in given and each.kind not in _STARRED
        }

    def arguments(self, given: dict[str, Any]) -> inspect.BoundArguments:
        """What the function is called with; all but its context."""
        return inspect.BoundArguments(self._without_context, given)

    def arguments_in(self, ctx: Any, args: Sequence[Any], kwargs: Any) -> inspect.BoundArguments:
        """The same with its context."""
        given = {**self.bind(args, kwargs), CONTEXT: ctx}
        return inspect.BoundArguments(self._signature, given)

    @cached_property
    def _without_context(self) -> inspect.Signature:
        if not self.takes_context:
            return self._signature
        parameters = self._signature.parameters.values()
        return inspect.Signature([each for each in parameters if each.name != CONTEXT])

    @cached_property
    def _signature(self) -> inspect.Signature:
        try:
            return inspect.signature(self.function)
        except ValueError:  # some of Python's own functions have none
            return _ANYTHING


def name_of(function: Callable[..., Any]) -> str:
    """What a step of it is named unless its author says otherwise; none of a partial."""
    return str(getattr(function, "__name__", ""))


class Definitions:
    """Those of one turn, under the names that parameters have."""

    def __init__(self) -> None:
        self._by_name: dict[str, Definition] = {}
        self._by_step: dict[Callable[..., Any], Definition] = {}

    def add(self, definition: Definition, step: Callable[..., Any]) -> None:
        """`step` is what calls it."""
        self._by_name[str(definition.name)] = definition
        self._by_name[name_of(definition.function)] = definition
        self._by_step[step] = definition

    def dependencies(
        self, definition: Definition, given: Mapping[str, Any]
    ) -> dict[str, Definition]:
        """Whose results the parameters are given that nothing else is given for.

        Raises WorkflowFatalError for a parameter that no step has the name of.
        """
        needed = definition.needs(given)
        found: dict[str, Definition] = {}
        for step, name in zip(definition.depends, list(needed), strict=False):
            found[name] = self._defined(definition, step)
        for name, parameter in needed.items():
            if name in found:
                continue
            if name in self._by_name:
                found[name] = self._by_name[name]
            elif parameter.default is inspect.Parameter.empty:
                raise WorkflowFatalError(
                    f'step "{definition.name}" takes "{name}", but no step of that name is defined '
                    "and the call gives nothing for it: define that step before, give the value, "
                    f'or give the parameter a default; "{CONTEXT}" is what the attempt is about'
                )
        return found

    def _defined(self, definition: Definition, step: Callable[..., Any]) -> Definition:
        try:
            return self._by_step[step]
        except (KeyError, TypeError):
            raise WorkflowFatalError(
                f'step "{definition.name}" depends on {step!r:.80}, which @step.do has not made'
            ) from None

    def generations(
        self,
        definition: Definition,
        needed: Collection[Definition],
        has_result: Callable[[Definition], bool],
    ) -> list[list[Definition]]:
        """What is to be executed first, second …, so that each step, and at last this one, finds
        the results that it needs. Raises WorkflowFatalError for steps that need each other.
        """
        if not needed:
            return []
        depths: dict[Definition, int] = {}

        def visit(definition: Definition, path: tuple[Definition, ...]) -> int:
            if definition in path:
                circle = [*path[path.index(definition) :], definition]
                names = " → ".join(f'"{each.name}"' for each in circle)
                raise WorkflowFatalError(f"steps need the results of each other: {names}")
            if has_result(definition):
                return -1
            if definition not in depths:
                below = self.dependencies(definition, {}).values()
                deepest = [visit(each, (*path, definition)) for each in below]
                depths[definition] = max(deepest, default=-1) + 1
            return depths[definition]

        for each in needed:
            visit(each, (definition,))
        last = max(depths.values(), default=-1)
        return [
            [each for each, depth in depths.items() if depth == number]
            for number in range(last + 1)
        ]
