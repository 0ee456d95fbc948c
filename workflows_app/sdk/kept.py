"""Recorded results against what the code says now: of a step whose function has come to return
something else, runs in flight have a result that the rest of the new code cannot read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_origin

from workflows_app.sdk.misuse import place_of

_FITTING: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "bytes": (bytes,),
    "dict": (dict,),
    "float": (float, int),
    "int": (int,),
    "list": (list,),
    "str": (str,),
}
"""What the journal holds of each of these annotations. What others say is not plain enough to
compare.
"""


def misfit(function: Callable[..., Any], value: Any) -> str | None:
    """How a recorded result differs from the function's annotation, as a clause; None if it does
    not. None fits everything: functions that may return it seldom say so.
    """
    said = _name(getattr(function, "__annotations__", {}).get("return"))
    fitting = _FITTING.get(said.partition("[")[0])
    if fitting is None or value is None or isinstance(value, fitting):
        return None
    now = f"{getattr(function, '__qualname__', function)} now returns {said}"
    return f"a result of type {type(value).__name__}, and {now}{_place(function)}"


def _name(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return str(getattr(get_origin(annotation) or annotation, "__name__", ""))


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return "" if code is None else f", at {place_of(code.co_filename, code.co_firstlineno)}"
