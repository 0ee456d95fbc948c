"""What is left of the nodes when those are left out that lead to no step."""

from __future__ import annotations

from collections.abc import Iterator

from workflows_app.sdk.graph.values import Node

_BLOCKS = ("try_block", "catch_block", "finally_block")


class Pruning:
    """By the functions of one source."""

    def __init__(self, functions: dict[str, list[Node]]) -> None:
        self._functions = functions
        self._with_steps: set[str] = set()
        while found := {name for name in self._missing() if self._has_steps(functions[name])}:
            self._with_steps |= found

    def functions(self) -> dict[str, Node]:
        return {
            name: {"type": "function_def", "name": name, "nodes": self.pruned(nodes)}
            for name, nodes in self._functions.items()
            if name in self._with_steps
        }

    def pruned(self, nodes: list[Node]) -> list[Node]:
        return [left for node in nodes for left in self._left_of(node)]

    def _missing(self) -> list[str]:
        return [name for name in self._functions if name not in self._with_steps]

    def _has_steps(self, nodes: list[Node]) -> bool:
        return any(self._is_step(node) for each in nodes for node in _with_children(each))

    def _is_step(self, node: Node) -> bool:
        if node["type"] == "function_call":
            return node["name"] in self._with_steps or node["name"] not in self._functions
        return bool(node["type"].startswith("step_"))

    def _left_of(self, node: Node) -> list[Node]:
        match node["type"]:
            case "slot":
                return self.pruned(node["nodes"])
            case "function_call":
                return [node] if self._is_step(node) else []
            case "step_do":
                has_steps = self._has_steps(node["nodes"])
                return [{**node, "nodes": self.pruned(node["nodes"]) if has_steps else []}]
            case "loop":
                return self._loop(node)
            case "if" | "switch":
                return self._branches(node)
            case "try":
                return self._try(node)
            case "parallel" | "block":
                return self._group(node)
        return [node]

    def _loop(self, node: Node) -> list[Node]:
        nodes = self.pruned(node["nodes"])
        own = [each for child in nodes for each in _with_children(child)]
        does_something = any(
            each["type"].startswith("step_") or each["type"] == "function_call" or _returns(each)
            for each in own
        )
        return [{**node, "nodes": nodes}] if does_something else []

    def _branches(self, node: Node) -> list[Node]:
        branches = [{**each, "nodes": self.pruned(each["nodes"])} for each in node["branches"]]
        return [{**node, "branches": branches}] if any(each["nodes"] for each in branches) else []

    def _try(self, node: Node) -> list[Node]:
        blocks = {
            name: node[name] and {"type": "block", "nodes": self.pruned(node[name]["nodes"])}
            for name in _BLOCKS
        }
        return (
            [{**node, **blocks}] if any(each and each["nodes"] for each in blocks.values()) else []
        )

    def _group(self, node: Node) -> list[Node]:
        nodes = self.pruned(node["nodes"])
        if node["type"] == "block" and len(nodes) == 1:
            return nodes
        return [{**node, "nodes": nodes}] if nodes else []


def _with_children(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(each.get("nodes", ()))
        for part in (*each.get("branches", ()), *(each.get(name) for name in _BLOCKS)):
            waiting.extend(part["nodes"] if part else ())


def _returns(node: Node) -> bool:
    return (node["type"], node.get("kind")) == ("break", "return")
