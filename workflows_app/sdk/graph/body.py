"""The nodes of one function, while they are being found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from itertools import count
from typing import TYPE_CHECKING

from workflows_app.sdk.graph.scopes import Scope
from workflows_app.sdk.graph.values import Node, Part, PartKind, Pending, Slot, StepFunction, Value

if TYPE_CHECKING:
    from workflows_app.sdk.graph.program import Program


class When(Enum):
    """When what is called gets to work."""

    NOW = auto()
    LATER = auto()
    """It makes a coroutine, which is awaited elsewhere."""


class Body:
    """`nodes` is where the next node is written."""

    def __init__(self, program: Program, scope: Scope, unawaited: When) -> None:
        self.program = program
        self.scope = scope
        self.nodes: list[Node] = []
        self._unawaited = unawaited
        self._order = count(1)
        self._path: tuple[Part, ...] = ()
        self._called: set[StepFunction] = set()

    @contextmanager
    def _block(self) -> Iterator[list[Node]]:
        """Nodes that are written elsewhere."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer

    @contextmanager
    def _within(self, part: PartKind) -> Iterator[list[Node]]:
        outer, self._path = self._path, (*self._path, Part(part))
        try:
            with self._block() as nodes:
                yield nodes
        finally:
            self._path = outer

    @contextmanager
    def _inner(self, values: dict[str, Value]) -> Iterator[None]:
        """A scope of its own, of a comprehension or a lambda."""
        outer, self.scope = self.scope, Scope(self.scope, self.scope.path)
        self.scope.values.update(values)
        try:
            yield
        finally:
            self.scope = outer

    def _write(self, node: Node, when: When) -> Pending | None:
        self.nodes.append(node)
        if when is When.NOW:
            return None
        node["starts"] = next(self._order)
        return Pending(started=(node,))

    def _await(self, pending: Pending) -> None:
        started = [*pending.started, *(node for slot in pending.slots for node in slot.started)]
        waited_for = [node for node in started if "starts" in node and "resolves" not in node]
        if waited_for:
            order = next(self._order)
            for node in waited_for:
                node["resolves"] = order

    def _take_up(self, pending: Pending) -> None:
        """Write here what has not begun where it was made; await what has.

        What is made in loops belongs here in a loop; what is made in some branch stays there.
        """
        for slot in pending.slots:
            inside = [part for part in slot.path if part not in self._path]
            if any(part.kind == "branch" for part in inside):
                continue
            for node in slot.started:
                node.pop("starts", None)
                node.pop("resolves", None)
            nodes = slot.nodes[:]
            slot.nodes.clear()
            self.nodes.extend([{"type": "loop", "nodes": nodes}] if inside and nodes else nodes)
        self._await(pending)

    def _set_aside(self, value: Value, written: list[Node]) -> Value:
        """What a variable stands for to which this is assigned."""
        if not isinstance(value, Pending) or value.is_running or not written:
            self.nodes.extend(written)
            return value
        self.nodes.append({"type": "slot", "nodes": written})
        return Pending(slots=(*value.slots, Slot(written, value.started, self._path)))
