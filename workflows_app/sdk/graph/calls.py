"""What a call does, of whatever it is: of a function of the source, a class, or another module."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from workflows_app.sdk.graph.body import When
from workflows_app.sdk.graph.literals import code, known
from workflows_app.sdk.graph.steps import StepCalls
from workflows_app.sdk.graph.values import (
    Arguments,
    Bound,
    Class,
    Imported,
    Instance,
    Parent,
    Pending,
    Routine,
    Shape,
    StepDecorator,
    StepFunction,
    Steps,
    TaskGroup,
    Value,
    Verb,
    joined,
)

_MAKES_TASKS = {"create_task", "ensure_future"}
"""Methods of event loops."""


class Calls(StepCalls):
    """Finds the nodes of calls."""

    def _call(self, call: ast.Call, when: When) -> Value:
        given = Arguments(tuple(call.args), tuple(call.keywords))
        match call.func:
            case ast.Attribute(value=owner, attr=name):
                value = self.evaluate(owner)
                if isinstance(value, Shape):
                    return self._read(value, name, given)
                if value is None and name in _MAKES_TASKS:
                    return self._task(given, when)
                if isinstance(value, Pending | None):
                    return self._kept(value, owner, given, when)
                if isinstance(value, TaskGroup):
                    return self._group_member(given)
                function = self._attribute_of(value, name)
            case written:
                function = self.evaluate(written)
        return self._apply(function, given, when, call.func)

    def _apply(
        self, function: Value, given: Arguments, when: When, written: ast.expr | None
    ) -> Value:
        match function:
            case Verb():
                return self._verb(function, given, when)
            case Routine():
                return self._routine(function, given, when)
            case Bound(function=inner, given=before):
                return self._apply(inner, before.followed_by(given), when, written)
            case StepDecorator():
                return self._decorated(function, given)
            case StepFunction():
                return self._step_function(function, given, when)
            case Class():
                return self._instance(function, given)
            case Imported(name=name):
                return self._imported(name, given, when, written)
            case Pending():
                self._evaluate_all(given.all)
                self._take_up(function)
                return None
        return self._elsewhere(given, when)

    def _routine(self, routine: Routine, given: Arguments, when: When) -> Value:
        values = {id(each): self.evaluate(each) for each in given.all}
        parameters = _parameters(routine, given, values)
        for value in values.values():
            self._mention(value)
        if isinstance(routine.node, ast.Lambda) and not routine.path:
            return self._in_line(routine.node, parameters)
        name = self.program.name_of(routine, parameters)
        node = {"type": "function_call", "name": name}
        return self._write(node, when if routine.is_async else When.NOW)

    def _in_line(self, node: ast.Lambda, parameters: dict[str, Value]) -> Value:
        with self._block() as nodes, self._inner(parameters):
            value = self._mention(self.evaluate(node.body, When.NOW))
        self.nodes.extend(nodes if len(nodes) < 2 else [{"type": "block", "nodes": nodes}])
        return value

    def _instance(self, of: Class, given: Arguments) -> Instance:
        instance = Instance(of)
        begin = instance.find("__init__")
        if isinstance(begin, Routine):
            self._routine(begin, given, When.NOW)
        else:
            self._evaluate_all(given.all)
        return instance

    def _imported(self, name: str, given: Arguments, when: When, written: ast.expr | None) -> Value:
        handler = _IMPORTED.get(name)
        if handler is not None:
            return handler(self, given, when)
        values = [self.evaluate(each) for each in given.all]
        if any(isinstance(each, Steps) for each in values):
            called = name if written is None else code(written)
            return self._write({"type": "function_call", "name": called}, when)
        return self._passed_on(values, when)

    def _elsewhere(self, given: Arguments, when: When) -> Value:
        return self._passed_on([self.evaluate(each) for each in given.all], when)

    def _passed_on(self, values: list[Value], when: When) -> Value:
        pending = joined([self._mention(value) for value in values])
        if pending is not None and when is When.NOW:
            self._await(pending)
        return pending

    def _kept(self, value: Pending | None, owner: ast.expr, given: Arguments, when: When) -> Value:
        """A method of what may be a list of tasks: what it is given is kept there."""
        with self._block() as written:
            added = self._evaluate_all(given.all)
        kept = joined([value, self._set_aside(added, written)])
        if added is not None and isinstance(owner, ast.Name):
            self.scope.values[owner.id] = kept
        if added is not None and when is When.NOW:
            self._await(added)
        return kept

    def _read(self, shape: Shape, method: str, given: Arguments) -> Value:
        self._evaluate_all(given.all)
        is_field = method == "get" and given.positional
        return self._field(shape, given.positional[0]) if is_field else None

    def _group_member(self, given: Arguments) -> Value:
        for each in given.positional[:1]:
            self._member(each)
        return None

    def _gather(self, given: Arguments, _: When) -> Value:
        settled = known(given.named("return_exceptions"), self.scope) is True
        return self._group("all_settled" if settled else "all", list(given.positional))

    def _wait(self, given: Arguments, _: When) -> Value:
        until = given.named("return_when")
        said = "ALL_COMPLETED" if until is None else code(until).rpartition(".")[2].strip("'")
        kind = {"FIRST_COMPLETED": "race", "FIRST_EXCEPTION": "all"}.get(said, "all_settled")
        return self._group(kind, list(given.positional[:1]))

    def _task(self, given: Arguments, _: When) -> Pending:
        found = joined([self.evaluate(each, When.LATER) for each in given.positional[:1]])
        return replace(found or Pending(), is_running=True)

    def _awaiting(self, given: Arguments, when: When) -> Value:
        return self.evaluate(given.positional[0], when) if given.positional else None

    def _partial(self, given: Arguments, _: When) -> Value:
        if not given.positional:
            return None
        function, *rest = given.positional
        return Bound(self.evaluate(function), Arguments(tuple(rest), given.keywords))

    def _each(self, given: Arguments, _: When) -> Value:
        """The built-in `map`."""
        self._evaluate_all(list(given.positional[1:]))
        with self._within("loop") as nodes:
            value = joined([self._mention(self.evaluate(each)) for each in given.positional[:1]])
        self.nodes.append({"type": "loop", "nodes": nodes})
        return value

    def _parent(self, given: Arguments, _: When) -> Value:
        instance = self.scope.find("self")
        return Parent(instance) if isinstance(instance, Instance) else None


def _parameters(routine: Routine, given: Arguments, values: dict[int, Value]) -> dict[str, Value]:
    """What is known of what the function is given."""
    names = routine.positional
    found: dict[str, Value] = dict(zip(names[:1], [routine.owner], strict=False))
    if routine.owner is not None:
        names = names[1:]
    for name, expression in zip(names, given.positional, strict=False):
        if isinstance(expression, ast.Starred):
            break
        found[name] = values[id(expression)]
    for keyword in given.keywords:
        if keyword.arg is not None:
            found[keyword.arg] = values[id(keyword.value)]
    return {name: value for name, value in found.items() if isinstance(value, _HANDED_ON)}


_HANDED_ON = Steps | Shape | Instance | Verb | TaskGroup

_IMPORTED: dict[str, Callable[[Calls, Arguments, When], Value]] = {
    "asyncio.gather": Calls._gather,
    "asyncio.wait": Calls._wait,
    "asyncio.create_task": Calls._task,
    "asyncio.ensure_future": Calls._task,
    "asyncio.wait_for": Calls._awaiting,
    "asyncio.shield": Calls._awaiting,
    "asyncio.TaskGroup": lambda body, given, when: TaskGroup(),
    "functools.partial": Calls._partial,
    "builtins.map": Calls._each,
    "builtins.super": Calls._parent,
}
