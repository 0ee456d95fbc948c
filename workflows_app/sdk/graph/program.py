"""The workflow and the functions that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from itertools import count

from workflows_app.sdk.graph.body import When
from workflows_app.sdk.graph.policies import OF_CLASSES, OF_FUNCTIONS
from workflows_app.sdk.graph.scopes import Scope, defining
from workflows_app.sdk.graph.statements import Statements
from workflows_app.sdk.graph.values import Node, Routine, Shape, StepFunction, Steps, Value

_CONTEXTS = {
    "AsyncContext": OF_FUNCTIONS,
    "Context": OF_FUNCTIONS,
    "PlainWorkflowStep": OF_CLASSES,
    "WorkflowStep": OF_CLASSES,
}


class Program:
    """Each function of the source is read as it is called first, and again if a later call gives
    it more that is known, such as the context.
    """

    def __init__(self) -> None:
        self.payload = Shape()
        self.functions: dict[str, list[Node]] = {}
        self.received: list[tuple[Node, Shape]] = []
        """Nodes of waits, with what is read of the events."""
        self.steps: dict[str, StepFunction] = {}
        """Decorated functions, by the names that parameters have which need their results."""
        self._names: dict[ast.AST, str] = {}
        self._nodes: dict[ast.AST, list[Node]] = {}
        self._parameters: dict[ast.AST, dict[str, Value]] = {}
        self._being_read: set[ast.AST] = set()

    def name_of(self, routine: Routine, parameters: Mapping[str, Value]) -> str:
        node = routine.node
        if node not in self._names:
            name = next(each for each in _names(routine) if each not in self.functions)
            self._names[node] = name
            self.functions[name] = self._nodes.setdefault(node, [])
        self.nodes_of(routine, parameters)
        return self._names[node]

    def nodes_of(self, routine: Routine, parameters: Mapping[str, Value]) -> list[Node]:
        """Of what calls itself they are not complete before all is read."""
        node = routine.node
        nodes = self._nodes.setdefault(node, [])
        known = self._parameters.get(node)
        if known is None or parameters.keys() - known.keys():
            self._parameters[node] = {**parameters, **(known or {})}
            if node not in self._being_read:
                self._being_read.add(node)
                self._read(routine, nodes)
                self._being_read.remove(node)
        return nodes

    def _read(self, routine: Routine, nodes: list[Node]) -> None:
        """Again as long as it has been called with more meanwhile, by itself, for one."""
        known: Mapping[str, Value] | None = None
        while known is not self._parameters[routine.node]:
            known = self._parameters[routine.node]
            for inner in set(ast.walk(routine.node)) - self._being_read:
                self._parameters.pop(inner, None)  # it sees the names of this one
            nodes[:] = self._found(routine, known)

    def _found(self, routine: Routine, parameters: Mapping[str, Value]) -> list[Node]:
        node, scope = routine.node, Scope(routine.scope, routine.path)
        values = {**self._annotated(node), **parameters}
        body = Statements(self, scope, When.LATER if routine.is_async else When.NOW)
        statements = [ast.Return(node.body)] if isinstance(node, ast.Lambda) else node.body
        defining(scope, statements).values.update(values)
        body.run(statements)
        if isinstance(statements[-1], ast.Return):
            body.nodes.pop()  # it would end here anyway
        return body.nodes

    def _annotated(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    ) -> dict[str, Value]:
        """All parameters, of which only those that are contexts are known by their annotations."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        others = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
        return {each.arg: self._known(each.annotation) for each in (*named, *others)}

    def _known(self, annotation: ast.expr | None) -> Value:
        written = "" if annotation is None else ast.unparse(annotation).strip("'\"")
        policy = _CONTEXTS.get(written.rpartition(".")[2])
        return None if policy is None else Steps(policy, self.payload)


def _names(routine: Routine) -> Iterator[str]:
    """Its own, unless another function has that one."""
    yield routine.name
    yield routine.path
    for number in count(2):
        yield f"{routine.path}-{number}"
