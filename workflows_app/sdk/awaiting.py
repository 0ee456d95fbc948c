"""Steps of an async context that are called: awaited, or forgotten, which must be noticed."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from workflows_app.errors import StepMisuse
from workflows_app.sdk.misuse import not_awaited, place_of

C = TypeVar("C", bound=type)

CALLED = "'Called'"
"""How Python names in its errors what was not awaited."""


class Called(Coroutine[Any, Any, Any]):
    """What calling a step returns. It is told to `calls` when it ends without having begun."""

    __slots__ = ("__weakref__", "_begun", "_calls", "_coroutine", "_place", "_what")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        calls: Calls,
        what: str,
        place: tuple[str, int],
    ) -> None:
        self._coroutine = coroutine
        self._calls = calls
        self._what = what
        self._place = place
        self._begun = False

    @property
    def is_forgotten(self) -> bool:
        return not self._begun

    def misuse(self) -> StepMisuse:
        return not_awaited(self._what, self._calls.run_id, place_of(*self._place))

    def send(self, value: Any) -> Any:
        self._begun = True
        return self._coroutine.send(value)

    def throw(
        self,
        kind: Any,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        self._begun = True
        if value is None and traceback is None:
            return self._coroutine.throw(kind)
        return self._coroutine.throw(kind, value, traceback)

    def close(self) -> None:
        self._begun = True
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        self._begun = True
        return self._coroutine.__await__()

    def __bool__(self) -> bool:
        """So that `if context.patched(…)` is no answer."""
        raise self.misuse()

    def __repr__(self) -> str:
        return f"<{self._what}>"

    def __del__(self) -> None:
        if not self._begun:
            self._coroutine.close()
            self._calls.forgotten(self.misuse())


class Calls:
    """The calls of one turn, shared by all copies of its context."""

    def __init__(self, run_id: str, on_forgotten: Callable[[StepMisuse], object]) -> None:
        self.run_id = run_id
        self._on_forgotten: Callable[[StepMisuse], object] | None = on_forgotten
        self._known: weakref.WeakSet[Called] = weakref.WeakSet()

    def add(self, coroutine: Coroutine[Any, Any, Any], what: str, place: tuple[str, int]) -> Called:
        called = Called(coroutine, self, what, place)
        self._known.add(called)
        return called

    def forgotten(self, misuse: StepMisuse) -> None:
        if self._on_forgotten is not None:
            self._on_forgotten(misuse)

    def check(self) -> None:
        """Raises StepMisuse for what the function, which has returned, has kept and not awaited."""
        for called in list(self._known):
            if called.is_forgotten:
                raise called.misuse()

    def end(self) -> None:
        """The turn is over: what is dropped from now on is given up with it."""
        self._on_forgotten = None

    def close(self) -> None:
        """Nobody can await any more what has not begun."""
        for called in list(self._known):
            if called.is_forgotten:
                called.close()


def steps_are_awaited(context: C) -> C:
    """Decorate a context: each public `async def` of it returns a `Called`.

    It needs `_calls`, and `_refuse_nesting(name)`, which is asked as soon as a step is called.
    """
    for name, method in list(vars(context).items()):
        if inspect.iscoroutinefunction(method) and not name.startswith("_"):
            setattr(context, name, _noticed(name, method))
    return context


def _noticed(verb: str, method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Called]:
    @wraps(method)
    def call(context: Any, *args: Any, **kwargs: Any) -> Called:
        name = args[0] if args and isinstance(args[0], str) else kwargs.get("name")
        if name is not None:
            context._refuse_nesting(name)
        caller = sys._getframe(1)
        what = f"context.{verb}" if name is None else f'step "{name}"'
        place = (caller.f_code.co_filename, caller.f_lineno)
        return context._calls.add(method(context, *args, **kwargs), what, place)  # type: ignore[no-any-return]  # of a context

    call.is_awaited = True  # type: ignore[attr-defined]  # for `returns_awaitable`
    return call


def returns_awaitable(function: Callable[..., Any]) -> bool:
    """Whether it is `async def`, or a step of a context."""
    return inspect.iscoroutinefunction(function) or (getattr(function, "is_awaited", None) is True)
