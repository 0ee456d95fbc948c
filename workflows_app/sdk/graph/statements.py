"""What the statements of a function do, one after the other."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from workflows_app.sdk.graph.body import When
from workflows_app.sdk.graph.calls import Calls
from workflows_app.sdk.graph.literals import code
from workflows_app.sdk.graph.scopes import routine
from workflows_app.sdk.graph.values import (
    Arguments,
    Bound,
    FunctionNode,
    Instance,
    Node,
    Pending,
    Routine,
    StepDecorator,
    TaskGroup,
    Value,
    Verb,
    joined,
)

_Loop = ast.For | ast.AsyncFor


class Statements(Calls):
    """Finds the nodes of statements."""

    def run(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            handler = _HANDLERS.get(type(statement), Statements._other)
            handler(self, statement)

    def _branch(self, statements: Sequence[ast.stmt]) -> list[Node]:
        with self._within("branch") as nodes:
            self.run(statements)
        return nodes

    def _other(self, statement: ast.stmt) -> None:
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.expr):
                self.evaluate(child)

    def _nothing(self, _: ast.stmt) -> None:
        """What it defines is known already."""

    def _assign(self, statement: ast.Assign) -> None:
        self._store(statement.targets, statement.value)

    def _annotated(self, statement: ast.AnnAssign) -> None:
        if statement.value is not None:
            self._store([statement.target], statement.value)

    def _store(self, targets: list[ast.expr], expression: ast.expr) -> None:
        pairs = _pairs(targets, expression)
        for target, value in pairs:
            self._store([target], value)
        if not pairs:
            self._store_all(targets, expression)

    def _store_all(self, targets: list[ast.expr], expression: ast.expr) -> None:
        with self._block() as written:
            value = self.evaluate(expression)
            if any(isinstance(target, ast.Subscript) for target in targets):
                value = self._mention(value)
        value = self._set_aside(value, written)
        for target in targets:
            self._bind(target, value)

    def _augmented(self, statement: ast.AugAssign) -> None:
        with self._block() as written:
            value = self.evaluate(statement.value)
        added = self._set_aside(value, written)
        if isinstance(statement.target, ast.Name):
            kept = self.scope.find(statement.target.id)
            self.scope.values[statement.target.id] = joined([kept, added])

    def _bind(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(id=name):
                self.scope.values[name] = _named(value, name)
            case ast.Attribute(value=owner, attr=name):
                instance = self.evaluate(owner)
                if isinstance(instance, Instance):
                    instance.attributes[name] = _named(value, name)
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(value, Pending):
                self.scope.values[name] = joined([self.scope.find(name), value])
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for each in targets:
                    self._bind(each, value if isinstance(value, Pending) else None)
            case ast.Starred(value=inner):
                self._bind(inner, value)

    def _return(self, statement: ast.Return) -> None:
        if statement.value is not None:
            self._mention(self.evaluate(statement.value))
        self.nodes.append({"type": "break", "kind": "return"})

    def _break(self, _: ast.Break) -> None:
        self.nodes.append({"type": "break", "kind": "break"})

    def _if(self, statement: ast.If) -> None:
        self.evaluate(statement.test)
        self.nodes.append(self._branches(statement))

    def _branches(self, statement: ast.If) -> Node:
        """Its test has been evaluated. Those that follow belong to it unless they hold steps."""
        branches: list[Node] = []
        while True:
            nodes = self._branch(statement.body)
            branches.append({"condition": code(statement.test), "nodes": nodes})
            match statement.orelse:
                case [ast.If() as statement]:
                    with self._within("branch") as tested:
                        self.evaluate(statement.test)
                    if not tested:
                        continue
                    otherwise = [*tested, self._branches(statement)]
                case rest:
                    otherwise = self._branch(rest)
            if otherwise:
                branches.append({"condition": None, "nodes": otherwise})
            return {"type": "if", "branches": branches}

    def _match(self, statement: ast.Match) -> None:
        self.evaluate(statement.subject)
        branches: list[Node] = []
        for case in statement.cases:
            with self._within("branch") as nodes:
                if case.guard is not None:
                    self.evaluate(case.guard)
                self.run(case.body)
            branches.append({"condition": _condition(case), "nodes": nodes})
        discriminant = code(statement.subject)
        self.nodes.append({"type": "switch", "discriminant": discriminant, "branches": branches})

    def _for(self, statement: _Loop) -> None:
        with self._block() as written:
            value = self.evaluate(statement.iter)
        value = self._set_aside(value, written)
        with self._within("loop") as nodes:
            self._bind(statement.target, value if isinstance(value, Pending) else None)
            self.run(statement.body)
        self.nodes.append({"type": "loop", "nodes": nodes})
        self.run(statement.orelse)

    def _while(self, statement: ast.While) -> None:
        with self._within("loop") as nodes:
            self.evaluate(statement.test)
            self.run(statement.body)
        self.nodes.append({"type": "loop", "nodes": nodes})
        self.run(statement.orelse)

    def _try(self, statement: ast.Try | ast.TryStar) -> None:
        """What runs when nothing was raised follows what was tried."""
        tried = self._branch([*statement.body, *statement.orelse])
        caught = self._caught(statement.handlers)
        ends = self._branch(statement.finalbody)
        self.nodes.append(
            {
                "type": "try",
                "try_block": _block(tried),
                "catch_block": _block(caught) if statement.handlers else None,
                "finally_block": _block(ends) if statement.finalbody else None,
            }
        )

    def _caught(self, handlers: Sequence[ast.ExceptHandler]) -> list[Node]:
        if len(handlers) == 1:
            return self._branch(handlers[0].body)
        branches: list[Node] = [
            {"condition": each.type and code(each.type), "nodes": self._branch(each.body)}
            for each in handlers
        ]
        return [{"type": "if", "branches": branches}]

    def _with(self, statement: ast.With | ast.AsyncWith) -> None:
        values = []
        for item in statement.items:
            value = self.evaluate(item.context_expr, When.NOW)
            values.append(value)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, value)
        with self._block() as nodes:
            self.run(statement.body)
        if any(isinstance(value, TaskGroup) for value in values):
            nodes = [{"type": "parallel", "kind": "all", "nodes": nodes}]
        self.nodes.extend(nodes)

    def _function(self, statement: FunctionNode) -> None:
        made = routine(statement, self.scope)
        for decorator in statement.decorator_list:
            if _may_be_step(decorator):
                value = self.evaluate(decorator)
                if isinstance(value, Verb):
                    value = StepDecorator(value, Arguments())
                if isinstance(value, StepDecorator):
                    self.scope.values[statement.name] = self._defined(value, made.name, made)
                    return
        self.scope.values[statement.name] = made


def _pairs(targets: list[ast.expr], expression: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Of `a, b = c, d`."""
    match targets, expression:
        case [ast.Tuple(elts=names)], ast.Tuple(elts=values) if len(names) == len(values):
            if not any(isinstance(each, ast.Starred) for each in (*names, *values)):
                return list(zip(names, values, strict=True))
    return []


def _named(value: Value, name: str) -> Value:
    """A lambda has the name of what it is assigned to."""
    if isinstance(value, Bound):
        return replace(value, function=_named(value.function, name))
    if isinstance(value, Routine) and isinstance(value.node, ast.Lambda) and not value.path:
        path = f"{value.scope.path}.{name}" if value.scope.path else name
        return replace(value, name=name, path=path)
    return value


def _may_be_step(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr == "do"


def _condition(case: ast.match_case) -> str | None:
    if case.guard is not None:
        return f"{code(case.pattern)} if {code(case.guard)}"
    is_any = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
    return None if is_any else code(case.pattern)


def _block(nodes: list[Node]) -> Node:
    return {"type": "block", "nodes": nodes}


_HANDLERS: dict[type[ast.stmt], Callable[[Statements, Any], None]] = {
    ast.Assign: Statements._assign,
    ast.AnnAssign: Statements._annotated,
    ast.AugAssign: Statements._augmented,
    ast.Return: Statements._return,
    ast.Break: Statements._break,
    ast.If: Statements._if,
    ast.Match: Statements._match,
    ast.For: Statements._for,
    ast.AsyncFor: Statements._for,
    ast.While: Statements._while,
    ast.Try: Statements._try,
    ast.TryStar: Statements._try,
    ast.With: Statements._with,
    ast.AsyncWith: Statements._with,
    ast.FunctionDef: Statements._function,
    ast.AsyncFunctionDef: Statements._function,
    ast.ClassDef: Statements._nothing,
}
