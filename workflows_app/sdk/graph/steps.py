"""What a call of a step does, and of several at once."""

from __future__ import annotations

import ast
from abc import abstractmethod
from dataclasses import replace

from workflows_app.sdk.graph.body import When
from workflows_app.sdk.graph.expressions import Expressions
from workflows_app.sdk.graph.literals import code, known
from workflows_app.sdk.graph.values import (
    Arguments,
    Imported,
    Node,
    Pending,
    Routine,
    Shape,
    StepDecorator,
    StepFunction,
    Value,
    Verb,
)
from workflows_app.sdk.graph.verbs import (
    ENDS,
    GROUPS,
    config_of,
    is_step,
    makes_decorator,
    step_node,
)


class StepCalls(Expressions):
    """Finds the nodes of steps."""

    @abstractmethod
    def _elsewhere(self, given: Arguments, when: When) -> Value: ...

    def _verb(self, verb: Verb, given: Arguments, when: When) -> Value:
        name, steps = verb.name, verb.steps
        if name == "options":
            self._evaluate_all(given.all)
            return replace(steps, policy=config_of(verb, given, self.scope))
        if name in GROUPS:
            return self._group(GROUPS[name], list(given.positional))
        if name == "map":
            return self._mapped(given)
        if name in ENDS:
            self._evaluate_all(given.all)
            self.nodes.append({"type": "break", "kind": "return"})
            return None
        if not is_step(verb):
            return self._elsewhere(given, when)
        if makes_decorator(verb, given, self.scope):
            return self._decorator(verb, given)
        return self._step(verb, given, when)

    def _decorator(self, verb: Verb, given: Arguments) -> Value:
        values = [self.evaluate(each) for each in given.all]
        if values and isinstance(values[0], Routine | Imported):
            return self._decorated(StepDecorator(verb, Arguments()), given)
        return StepDecorator(verb, given)

    def _step(self, verb: Verb, given: Arguments, when: When) -> Value:
        values = [self.evaluate(each) for each in given.all]
        node = step_node(verb, given, self.scope)
        if "nodes" in node:
            with self._block() as nodes:
                for value in values:
                    self._mention(value)
            node["nodes"] = nodes
        pending = self._write(node, when)
        return pending or self._received(node)

    def _received(self, node: Node) -> Shape | None:
        if node["type"] != "step_wait_for_event":
            return None
        shape = Shape()
        self.program.received.append((node, shape))
        return shape

    def _decorated(self, decorator: StepDecorator, given: Arguments) -> Value:
        if not given.positional:
            return None
        function = self.evaluate(given.positional[0])
        routine = function if isinstance(function, Routine) else None
        return self._defined(decorator, code(given.positional[0]), routine)

    def _defined(
        self, decorator: StepDecorator, name: str, routine: Routine | None
    ) -> StepFunction:
        """Known by the name of the function, and by that of the step."""
        function = StepFunction(decorator, name, self.scope, routine)
        node = step_node(decorator.verb, decorator.given, self.scope, name)
        self.program.steps.update({name: function, node["name"]: function})
        return function

    def _step_function(self, function: StepFunction, given: Arguments, when: When) -> Value:
        self._evaluate_all(given.all)
        is_concurrent = known(function.decorator.given.named("concurrent"), function.scope) is True
        for level in self._levels(function, given):
            with self._block() as nodes:
                for each in level:
                    self._called_step(each, When.NOW)
            if is_concurrent and len(nodes) > 1:
                nodes = [{"type": "parallel", "kind": "all", "nodes": nodes}]
            self.nodes.extend(nodes)
        return self._called_step(function, when)

    def _called_step(self, function: StepFunction, when: When) -> Value:
        self._called.add(function)
        decorator, routine = function.decorator, function.routine
        node = step_node(decorator.verb, decorator.given, function.scope, function.name)
        nodes = [] if routine is None else self.program.nodes_of(routine, {})
        return self._write({**node, "nodes": nodes}, when)

    def _levels(self, function: StepFunction, given: Arguments) -> list[list[StepFunction]]:
        """What has to be called before and has not been, beginning with what needs nothing."""
        depths: dict[StepFunction, int] = {}

        def depth_of(step: StepFunction, path: tuple[StepFunction, ...]) -> int:
            if step in self._called or step in path:
                return 0
            if step not in depths:
                below = [depth_of(each, (*path, step)) for each in self._needed(step, Arguments())]
                depths[step] = max(below, default=0) + 1
            return depths[step]

        for each in self._needed(function, given):
            depth_of(each, (function,))
        levels = range(1, max(depths.values(), default=0) + 1)
        return [[step for step, depth in depths.items() if depth == level] for level in levels]

    def _needed(self, function: StepFunction, given: Arguments) -> list[StepFunction]:
        """What it depends on, and what the parameters are named like that are not given."""
        depends = function.decorator.given.named("depends")
        listed = depends.elts if isinstance(depends, ast.List | ast.Tuple) else []
        parameters = [] if function.routine is None else function.routine.parameters
        keywords = {each.arg for each in given.keywords}
        left = [name for name in parameters[len(given.positional) :] if name not in keywords]
        found = [
            *(self.evaluate(each) for each in listed),
            *(self.program.steps.get(name) for name in left),
        ]
        return [each for each in found if isinstance(each, StepFunction)]

    def _group(self, kind: str, branches: list[ast.expr]) -> Value:
        with self._block() as nodes:
            for branch in branches:
                self._member(branch)
        self.nodes.append({"type": "parallel", "kind": kind, "nodes": nodes})
        return None

    def _mapped(self, given: Arguments) -> Value:
        self._evaluate_all([*given.positional[1:], *(each.value for each in given.keywords)])
        with self._within("loop") as nodes:
            for function in given.positional[:1]:
                self._member(function)
        loop = {"type": "loop", "nodes": nodes}
        self.nodes.append({"type": "parallel", "kind": "all", "nodes": [loop]})
        return None

    def _member(self, branch: ast.expr) -> None:
        branch = branch.value if isinstance(branch, ast.Starred) else branch
        if isinstance(branch, ast.List | ast.Tuple | ast.Set):
            for each in branch.elts:
                self._member(each)
            return
        with self._block() as nodes:
            value = self._mention(self.evaluate(branch, When.NOW))
            if isinstance(value, Pending):
                self._take_up(value)
        is_one = len(nodes) < 2 or isinstance(branch, ast.Name)
        self.nodes.extend(nodes if is_one else [{"type": "block", "nodes": nodes}])
