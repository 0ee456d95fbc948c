"""What is written in the source of a workflow: texts, numbers and durations."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from workflows_app.sdk.graph.values import Class, Instance, Value

if TYPE_CHECKING:
    from workflows_app.sdk.graph.scopes import Scope

DYNAMIC: Final = "[dynamic]"
"""Stands for a duration that is known only when the workflow runs."""

_LONGEST = 1000
_LARGEST = 1 << 53
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Unknown(Exception):
    """The value is not written in the source."""


def literal(expression: ast.expr | None, scope: Scope) -> Any:
    """Texts, numbers, dicts, and durations as milliseconds. Raises Unknown."""
    match expression:
        case ast.Constant(value=value):
            return _usable(value)
        case ast.Name(id=name):
            return scope.constant(name)
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return _attribute(scope.find(owner), name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _usable(-_number(operand, scope))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _computed(_ARITHMETIC[type(op)], _number(left, scope), _number(right, scope))
        case ast.Dict(keys=keys, values=values):
            return _dict(keys, values, scope)
        case ast.Call(func=ast.Name(id="timedelta") | ast.Attribute(attr="timedelta")):
            return _milliseconds(expression, scope)
    raise Unknown


def known(expression: ast.expr | None, scope: Scope) -> Any:
    """None for what is not written."""
    try:
        return literal(expression, scope)
    except Unknown:
        return None


def duration(expression: ast.expr | None, scope: Scope) -> float | str:
    value = known(expression, scope)
    return value if isinstance(value, str) or is_number(value) else DYNAMIC


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(expression: ast.expr | None, scope: Scope) -> str:
    """A text as it is written: what is computed in it stands in braces, as in an f-string."""
    if isinstance(expression, ast.JoinedStr):
        return shortened("".join(_template(part, scope) for part in expression.values))
    value = known(expression, scope)
    if isinstance(value, str) or is_number(value):
        return shortened(str(value))
    if expression is None or (isinstance(expression, ast.Constant) and value is None):
        return ""
    return shortened(f"{{{code(expression)}}}")


def code(expression: ast.AST) -> str:
    try:
        return shortened(ast.unparse(expression))
    except RecursionError:
        return "…"


def shortened(value: str) -> str:
    """What can be stored and sent, whatever has been written."""
    value = value.encode(errors="replace").decode()
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"


def _template(part: ast.expr, scope: Scope) -> str:
    if isinstance(part, ast.FormattedValue):
        value = known(part.value, scope)
        return value if isinstance(value, str) else f"{{{code(part.value)}}}"
    return str(known(part, scope))


def _usable(value: object) -> Any:
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= _LARGEST:
        return value
    raise Unknown


def _attribute(owner: Value, name: str) -> Any:
    owner = owner.of if isinstance(owner, Instance) else owner
    if isinstance(owner, Class) and (scope := owner.defining(name)) is not None:
        return scope.constant(name)
    raise Unknown


def _number(expression: ast.expr, scope: Scope) -> Any:
    value = literal(expression, scope)
    if not is_number(value):
        raise Unknown
    return value


def _computed(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    try:
        return _usable(operation(left, right))
    except ArithmeticError:
        raise Unknown from None


def _dict(keys: list[ast.expr | None], values: list[ast.expr], scope: Scope) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:
            more = literal(value, scope)
            read.update(more if isinstance(more, dict) else {})
        else:
            read[str(literal(key, scope))] = _or_dynamic(value, scope)
    return read


def _or_dynamic(expression: ast.expr, scope: Scope) -> Any:
    try:
        return literal(expression, scope)
    except Unknown:
        return DYNAMIC


def _milliseconds(call: ast.Call, scope: Scope) -> float:
    units = ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks")
    given = dict(zip(units, call.args, strict=False)) | {
        keyword.arg or "": keyword.value for keyword in call.keywords
    }
    numbers = {unit: _number(value, scope) for unit, value in given.items()}
    try:
        milliseconds = timedelta(**numbers) / timedelta(milliseconds=1)
    except (ArithmeticError, TypeError):
        raise Unknown from None
    return int(milliseconds) if milliseconds.is_integer() else milliseconds
