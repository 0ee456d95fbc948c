"""Which names a piece of source knows, and what they stand for."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from workflows_app.sdk.graph.literals import Unknown, literal
from workflows_app.sdk.graph.values import Class, FunctionNode, Imported, Routine, Value

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_EXPRESSION_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BUILTINS: dict[str, Value] = {name: Imported(f"builtins.{name}") for name in ("map", "super")}


class Scope:
    """The names of a module, class or function."""

    def __init__(self, parent: Scope | None = None, path: str = "") -> None:
        self.parent = parent
        self.path = path
        self.values: dict[str, Value] = {}
        self.constants: dict[str, Any] = {}

    def find(self, name: str) -> Value:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        return _BUILTINS.get(name)

    def constant(self, name: str) -> Any:
        """What is assigned to the name, where that is written, and only once. Raises Unknown."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.constants:
                return scope.constants[name]
            if name in scope.values:
                break
            scope = scope.parent
        raise Unknown


def module_scope(tree: ast.Module) -> Scope:
    return defining(Scope(), tree.body)


def defining(scope: Scope, body: Sequence[ast.stmt]) -> Scope:
    """The scope, with what these statements define in it."""
    stored, rebound = Counter(_stored(body)), _rebound(body)
    scope.values.update(dict.fromkeys(stored))
    for statement in _own(body, (*_SCOPES, ast.expr)):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.values[statement.name] = routine(statement, scope)
            case ast.ClassDef():
                scope.values[statement.name] = class_of(statement, scope)
            case ast.Import() | ast.ImportFrom():
                scope.values.update(imported(statement))
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if stored[name] == 1 and name not in rebound:
                with suppress(Unknown, RecursionError):
                    scope.constants[name] = literal(value, scope)
    return scope


def routine(node: FunctionNode, scope: Scope) -> Routine:
    path = f"{scope.path}.{node.name}" if scope.path else node.name
    return Routine(node.name, path, node, scope)


def class_of(node: ast.ClassDef, scope: Scope, bases: Sequence[Class] = ()) -> Class:
    """`bases` are those that are known from elsewhere; others are looked for by their names."""
    named = [scope.find(base.id) for base in node.bases if isinstance(base, ast.Name)]
    own = tuple(base for base in named if isinstance(base, Class))
    attributes = Scope(scope, f"{scope.path}.{node.name}" if scope.path else node.name)
    defining(attributes, node.body)
    for name, value in attributes.values.items():
        if isinstance(value, Routine):  # its body does not see the names of its class
            attributes.values[name] = Routine(value.name, value.path, value.node, scope)
    return Class(node, scope, attributes, tuple(bases) or own)


def imported(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Imported]]:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            origin = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or origin, Imported(origin)
    else:
        for alias in statement.names:
            origin = f"{statement.module}.{alias.name}" if statement.module else alias.name
            yield alias.asname or alias.name, Imported(origin)


def _own(body: Iterable[ast.AST], others: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    """These and what is nested in them, in their order, but nothing within one of the `others`."""
    waiting = list(body)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, others):
            waiting.extend(list(ast.iter_child_nodes(node))[::-1])


def _stored(body: Sequence[ast.AST]) -> Iterator[str]:
    for node in _own(body, (*_SCOPES, *_EXPRESSION_SCOPES)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id


def _rebound(body: Sequence[ast.AST]) -> set[str]:
    """By functions that are defined in it."""
    nodes = (node for statement in body for node in ast.walk(statement))
    return {
        name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
