"""What an expression does, from its innermost part outwards."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable

from workflows_app.sdk.graph.body import Body, When
from workflows_app.sdk.graph.literals import Unknown, code, literal
from workflows_app.sdk.graph.values import (
    Arguments,
    Bound,
    Class,
    Imported,
    Instance,
    Node,
    Parent,
    Pending,
    Routine,
    Shape,
    StepFunction,
    Steps,
    Value,
    Verb,
    joined,
)

_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class Expressions(Body):
    """Finds the nodes of expressions."""

    @abstractmethod
    def _call(self, call: ast.Call, when: When) -> Value: ...

    @abstractmethod
    def _apply(
        self, function: Value, given: Arguments, when: When, written: ast.expr | None
    ) -> Value:
        """Call it; `written` is how the source names it, where it does."""

    def evaluate(self, expression: ast.expr, when: When | None = None) -> Value:
        handler = _HANDLERS.get(type(expression))
        if handler is None:
            return self._parts(expression)
        return handler(self, expression, when or self._unawaited)

    def _mention(self, value: Value) -> Value:
        """What is handed to others is expected to be called by them."""
        if (isinstance(value, Routine) and not value.is_workflow) or isinstance(
            value, Bound | StepFunction
        ):
            self._apply(value, Arguments(), When.NOW, None)
            return Pending()
        return value

    def _evaluate_all(
        self, expressions: list[ast.expr], when: When | None = None
    ) -> Pending | None:
        return joined([self._mention(self.evaluate(each, when)) for each in expressions])

    def _parts(self, expression: ast.expr) -> Value:
        """Of an expression that does nothing by itself. Texts of many parts nest deeply."""
        found: list[Value] = []
        waiting: list[ast.AST] = [expression]
        while waiting:
            part = waiting.pop()
            if isinstance(part, ast.expr) and type(part) in _HANDLERS:
                found.append(self._mention(self.evaluate(part)))
            else:
                waiting.extend(list(ast.iter_child_nodes(part))[::-1])
        return joined(found)

    def _awaited(self, expression: ast.Await, _: When) -> Value:
        value = self.evaluate(expression.value, When.NOW)
        if isinstance(value, Pending):
            self._await(value)
            return None
        return value

    def _lambda(self, expression: ast.Lambda, _: When) -> Value:
        return Routine("lambda", "", expression, self.scope)

    def _conditional(self, expression: ast.IfExp, when: When) -> Value:
        self.evaluate(expression.test)
        values, branches = [], []
        for branch in (expression.body, expression.orelse):
            with self._within("branch") as nodes:
                values.append(self._mention(self.evaluate(branch, when)))
            branches.append(nodes)
        if any(branches):
            self.nodes.append(_if(code(expression.test), *branches))
        return joined(values)

    def _comprehension(self, expression: _Comprehension, when: When) -> Value:
        first, *_rest = expression.generators
        self.evaluate(first.iter)
        targets = [node.id for each in expression.generators for node in _names(each.target)]
        with self._inner(dict.fromkeys(targets)), self._within("loop") as nodes:
            value = self._of_each(expression, when)
        if nodes:
            self.nodes.append({"type": "loop", "nodes": nodes})
        return value

    def _of_each(self, expression: _Comprehension, when: When) -> Value:
        generators = expression.generators
        inner = [generator.iter for generator in generators[1:]]
        conditions = [condition for generator in generators for condition in generator.ifs]
        for each in (*inner, *conditions):
            self.evaluate(each)
        with self._block() as nodes:
            match expression:
                case ast.DictComp(key=key, value=value):
                    result = self._evaluate_all([key, value], when)
                case _:
                    result = self._evaluate_all([expression.elt], when)
        if nodes and conditions:
            nodes = [_if(" and ".join(map(code, conditions)), nodes)]
        self.nodes.extend(nodes)
        return result

    def _assigned(self, expression: ast.NamedExpr, when: When) -> Value:
        value = self.evaluate(expression.value, when)
        self.scope.values[expression.target.id] = value
        return value

    def _name(self, expression: ast.Name, _: When) -> Value:
        return self.scope.find(expression.id)

    def _attribute(self, expression: ast.Attribute, _: When) -> Value:
        return self._attribute_of(self.evaluate(expression.value), expression.attr)

    def _attribute_of(self, value: Value, name: str) -> Value:
        match value:
            case Steps(payload=payload):
                return payload if name == "request_payload" else Verb(value, name)
            case Verb():
                return Verb(value.steps, f"{value.name}.{name}")
            case Imported():
                return Imported(f"{value.name}.{name}")
            case Instance() | Parent() | Class():
                return value.find(name)
            case Shape():
                return value.field(name)
            case Pending():
                return value
        return None

    def _item(self, expression: ast.Subscript, _: When) -> Value:
        value = self.evaluate(expression.value)
        self.evaluate(expression.slice)
        if isinstance(value, Shape):
            return self._field(value, expression.slice)
        return value if isinstance(value, Pending) else None

    def _field(self, shape: Shape, key: ast.expr) -> Shape | None:
        try:
            name = literal(key, self.scope)
        except Unknown:
            return None
        return shape.field(name) if isinstance(name, str) else None


def _if(condition: str, then: list[Node], otherwise: list[Node] | None = None) -> Node:
    branches: list[Node] = [{"condition": condition, "nodes": then}]
    if otherwise:
        branches.append({"condition": None, "nodes": otherwise})
    return {"type": "if", "branches": branches}


def _names(target: ast.expr) -> list[ast.Name]:
    return [node for node in ast.walk(target) if isinstance(node, ast.Name)]


_HANDLERS: dict[type[ast.expr], Callable[..., Value]] = {
    ast.Await: Expressions._awaited,
    ast.Call: lambda body, expression, when: body._call(expression, when),
    ast.Lambda: Expressions._lambda,
    ast.IfExp: Expressions._conditional,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.DictComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.NamedExpr: Expressions._assigned,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attribute,
    ast.Subscript: Expressions._item,
}
