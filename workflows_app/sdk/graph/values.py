"""What is known, without executing anything, of the value of an expression."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workflows_app.sdk.graph.policies import Policy
    from workflows_app.sdk.graph.scopes import Scope

Node = dict[str, Any]
"""A node of the graph, as it is published."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Code = FunctionNode | ast.Lambda


class Shape:
    """What is read of a value that is not known before the workflow runs."""

    def __init__(self) -> None:
        self.fields: dict[str, Shape] = {}

    def field(self, name: str) -> Shape:
        return self.fields.setdefault(name, Shape())

    def described(self) -> Node:
        if not self.fields:
            return {"type": "unknown"}
        fields = {name: shape.described() for name, shape in self.fields.items()}
        return {"type": "object", "fields": fields}


@dataclass(frozen=True, slots=True)
class Steps:
    """What steps are called on: the context of a function, or the `step` of a class."""

    policy: Policy
    payload: Shape


@dataclass(frozen=True, slots=True)
class Verb:
    """A method of `Steps`."""

    steps: Steps
    name: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A name of another module, such as "asyncio.gather"."""

    name: str


@dataclass(frozen=True, slots=True)
class Class:
    node: ast.ClassDef
    scope: Scope
    """Where it is defined."""
    attributes: Scope
    bases: tuple[Class, ...] = ()

    def defining(self, name: str) -> Scope | None:
        """The attributes of the nearest class, this or a base of it, that has one of this name."""
        if name in self.attributes.values:
            return self.attributes
        return self.inherited(name)

    def inherited(self, name: str) -> Scope | None:
        return next((found for base in self.bases if (found := base.defining(name))), None)

    def find(self, name: str) -> Value:
        scope = self.defining(name)
        return None if scope is None else scope.values[name]


@dataclass(frozen=True, slots=True)
class Instance:
    of: Class
    attributes: dict[str, Value] = field(default_factory=dict)

    def find(self, name: str) -> Value:
        found = self.attributes.get(name) or self.of.find(name)
        return replace(found, owner=self) if isinstance(found, Routine) else found


@dataclass(frozen=True, slots=True)
class Parent:
    """What `super()` gives."""

    instance: Instance

    def find(self, name: str) -> Value:
        scope = self.instance.of.inherited(name)
        found = None if scope is None else scope.values[name]
        return replace(found, owner=self.instance) if isinstance(found, Routine) else found


@dataclass(frozen=True, slots=True)
class Routine:
    """A function, method or lambda of the source."""

    name: str
    path: str
    """Its name after those of what it is defined in."""
    node: Code
    scope: Scope
    owner: Instance | None = None

    @property
    def is_async(self) -> bool:
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def positional(self) -> list[str]:
        """The names of its positional parameters."""
        return [each.arg for each in (*self.node.args.posonlyargs, *self.node.args.args)]

    @property
    def parameters(self) -> list[str]:
        return [*self.positional, *(each.arg for each in self.node.args.kwonlyargs)]

    @property
    def is_workflow(self) -> bool:
        """Whether naming it means its runs, not its function."""
        decorators = [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list
        called = [each.func if isinstance(each, ast.Call) else each for each in decorators]
        return any(ast.unparse(each).rpartition(".")[2] == "workflow" for each in called)


@dataclass(frozen=True, slots=True)
class Arguments:
    """As they are written in a call."""

    positional: tuple[ast.expr, ...] = ()
    keywords: tuple[ast.keyword, ...] = ()

    @property
    def all(self) -> list[ast.expr]:
        return [*self.positional, *(keyword.value for keyword in self.keywords)]

    def named(self, *names: str) -> ast.expr | None:
        return next((each.value for each in self.keywords if each.arg in names), None)

    def get(self, index: int, *names: str) -> ast.expr | None:
        """The one at this position, or of one of these names."""
        if index < len(self.positional):
            found = self.positional[index]
            return None if isinstance(found, ast.Starred) else found
        return self.named(*names)

    def followed_by(self, more: Arguments) -> Arguments:
        return Arguments(self.positional + more.positional, self.keywords + more.keywords)


@dataclass(frozen=True, slots=True)
class Bound:
    """What `functools.partial` makes."""

    function: Value
    given: Arguments


@dataclass(frozen=True, slots=True)
class StepDecorator:
    """`step.do(name, …)` without a function."""

    verb: Verb
    given: Arguments


@dataclass(frozen=True, slots=True, eq=False)
class StepFunction:
    """A function that is a step whenever it is called."""

    decorator: StepDecorator
    name: str
    scope: Scope
    """Where it was made."""
    routine: Routine | None
    """None of a function of another module."""


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """What an `asyncio.TaskGroup` gives."""


PartKind = Literal["loop", "branch"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A loop, or a branch that may not be taken."""

    kind: PartKind


@dataclass(frozen=True, slots=True)
class Slot:
    """Nodes that stand where they are written, as long as nothing else takes them up."""

    nodes: list[Node]
    started: tuple[Node, ...]
    path: tuple[Part, ...]
    """What they stand in."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Coroutines, tasks or branches that are handed about before they are awaited."""

    started: tuple[Node, ...] = ()
    slots: tuple[Slot, ...] = ()
    is_running: bool = False
    """They are tasks, which have begun where they were made."""


Value = (
    Shape
    | Steps
    | Verb
    | Imported
    | Class
    | Instance
    | Parent
    | Routine
    | Bound
    | StepDecorator
    | StepFunction
    | TaskGroup
    | Pending
    | None
)


def joined(values: list[Value]) -> Pending | None:
    """What of these is pending."""
    pending = [value for value in values if isinstance(value, Pending)]
    if not pending:
        return None
    return Pending(
        started=tuple(node for each in pending for node in each.started),
        slots=tuple(slot for each in pending for slot in each.slots),
        is_running=all(each.is_running for each in pending),
    )
