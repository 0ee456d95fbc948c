"""Where the source of a workflow is, and its graph."""

from __future__ import annotations

import ast
import inspect
import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from workflows_app.sdk.graph.policies import OF_CLASSES, OF_FUNCTIONS, with_options
from workflows_app.sdk.graph.program import Program
from workflows_app.sdk.graph.pruning import Pruning
from workflows_app.sdk.graph.scopes import Scope, class_of, defining, module_scope, routine
from workflows_app.sdk.graph.values import (
    Arguments,
    Class,
    FunctionNode,
    Instance,
    Node,
    Routine,
    Shape,
    Steps,
)

FORMAT = 1
"""The version of how graphs are written."""

Definition = FunctionNode | ast.ClassDef

_NOT_READ = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python raises for source that is none, or nests too deeply."""


def graph_of(function_or_class: Callable[..., Any] | type, name: str) -> Node | None:
    """The steps of a workflow as they are written, under this name. Nothing is executed.

    None where the source cannot be found: of a lambda, or what was typed into a shell.
    """
    try:
        found = _found(function_or_class)
        return None if found is None else _graph(found, name)
    except _NOT_READ:
        return None


def graph_of_source(source: str, class_name: str) -> Node | None:
    """The same of the class or function of this name in the source of a module; None without it."""
    try:
        read = _read(source)
        found = (node for node in read.definitions if node.name == class_name)
        definition = next(found, None)
        return None if definition is None else _graph(read.within(definition), class_name)
    except _NOT_READ:
        return None


def _found(target: Callable[..., Any] | type) -> Class | Routine | None:
    target = inspect.unwrap(target)
    if not isinstance(target, type):
        return _located(target)
    known = [each for each in map(_located, target.__mro__[1:]) if isinstance(each, Class)]
    own = _located(target)
    if isinstance(own, Class):
        return class_of(own.node, own.scope, known)
    return None


def _located(target: Callable[..., Any] | type) -> Class | Routine | None:
    """None where there is no source, or one that is no definition."""
    try:
        lines, before = inspect.findsource(target)
    except (OSError, TypeError):
        return None
    read = _read("".join(lines))
    found = (node for node in read.definitions if _first_line(node) == before + 1)
    return next(map(read.within, found), None)


_parsing = threading.Lock()
"""Python 3.11 takes the depth of another thread's tree for that of its own, and raises SystemError.
What `catch_warnings` sets is everybody's, too.
"""


@lru_cache(maxsize=8)
def _read(source: str) -> Module:
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given when it was imported
        return Module(ast.parse(source))


def _first_line(node: Definition) -> int:
    return min(each.lineno for each in (node, *node.decorator_list))


class Module:
    """The source of a module, whose workflows are often asked for one after the other."""

    def __init__(self, tree: ast.Module) -> None:
        self._parents = {
            child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
        }
        self._scope = module_scope(tree)
        self.definitions = [node for node in self._parents if isinstance(node, Definition)]

    def within(self, definition: Definition) -> Class | Routine:
        """The definition in the scopes that it is nested in."""
        scope = self._scope
        for outer in self._around(definition):
            path = f"{scope.path}.{outer.name}" if scope.path else outer.name
            if not isinstance(outer, ast.ClassDef):
                scope = defining(Scope(scope, path), outer.body)
        if isinstance(definition, ast.ClassDef):
            return class_of(definition, scope)
        return routine(definition, scope)

    def _around(self, definition: Definition) -> list[Definition]:
        """From the outside."""
        found: list[Definition] = []
        node: ast.AST | None = self._parents[definition]
        while node is not None:
            if isinstance(node, Definition):
                found.append(node)
            node = self._parents.get(node)
        return found[::-1]


def _graph(found: Class | Routine, name: str) -> Node:
    program = Program()
    nodes = _of_class(program, found) if isinstance(found, Class) else _of_function(program, found)
    pruning = Pruning(program.functions)
    for node, shape in program.received:
        for field in ("payload", "event_data"):
            if field in shape.fields:
                node["payload"] = shape.field(field).described()
    workflow = {
        "class_name": name,
        "functions": pruning.functions(),
        "nodes": pruning.pruned(nodes),
    }
    if program.payload.fields:
        workflow["payload"] = program.payload.described()
    return {"version": FORMAT, "workflow": workflow}


def _of_function(program: Program, found: Routine) -> list[Node]:
    policy = OF_FUNCTIONS
    for decorator in found.node.decorator_list if isinstance(found.node, FunctionNode) else ():
        if isinstance(decorator, ast.Call):
            given = Arguments(tuple(decorator.args), tuple(decorator.keywords))
            policy = with_options(policy, given, found.scope)
    context = dict.fromkeys(found.positional[:1], Steps(policy, program.payload))
    return program.nodes_of(found, context)


def _of_class(program: Program, found: Class) -> list[Node]:
    instance = Instance(found, {"ctx": Steps(OF_FUNCTIONS, program.payload)})
    run = instance.find("run")
    if not isinstance(run, Routine):
        return []
    event = Shape()
    event.fields["payload"] = program.payload
    policy = with_options(OF_CLASSES, Arguments((), tuple(found.node.keywords)), found.scope)
    values = (instance, event, Steps(policy, Shape()))
    return program.nodes_of(run, dict(zip(run.positional, values, strict=False)))
