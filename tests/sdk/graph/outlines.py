"""Graphs as texts that read like the source: a line for each node, indented by what it is in."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent, indent
from typing import Any

from workflows_app.sdk.graph import graph_of_source

Node = dict[str, Any]

_CLASS = """
import asyncio
from functools import partial


class Order(WorkflowEntrypoint):
    async def run(self, event, step):
"""
_FUNCTION = """
from functools import partial


@workflow("order")
def order(context):
"""
_LABELS = {
    "step_do": "do {name}",
    "step_sleep": "sleep {name}",
    "step_sleep_until": "sleep until {name}",
    "step_wait_for_event": "wait {name}",
    "function_call": "call {name}",
    "parallel": "{kind}",
    "break": "{kind}",
    "switch": "switch {discriminant}",
}
_BLOCKS = {"try_block": "tried", "catch_block": "caught", "finally_block": "finally"}


def in_class(body: str, rest: str = "") -> Node:
    """The graph of an `async` class whose `run` has this body; `rest` follows it in the module."""
    source = f"{_CLASS}{indent(dedent(body).strip(), ' ' * 8)}\n{dedent(rest)}"
    return _workflow(source, "Order")


def in_function(body: str, rest: str = "") -> Node:
    """The graph of a plain function."""
    source = f"{_FUNCTION}{indent(dedent(body).strip(), ' ' * 4)}\n{dedent(rest)}"
    return _workflow(source, "order")


def _workflow(source: str, name: str) -> Node:
    graph = graph_of_source(source, name)
    assert graph is not None, source
    workflow: Node = graph["workflow"]
    return workflow


def outline(workflow: Node) -> str:
    lines = [*_lines(workflow["nodes"], "")]
    for function in workflow["functions"].values():
        lines += [f"def {function['name']}", *_lines(function["nodes"], "  ")]
    return "\n".join(lines)


def _lines(nodes: list[Node], margin: str) -> Iterator[str]:
    for node in nodes:
        label = _LABELS.get(node["type"], "{type}").format_map(node)
        order = "".join(f" ({key} {node[key]})" for key in ("starts", "resolves") if key in node)
        yield f"{margin}{label}{order}"
        yield from _lines(node.get("nodes", []), margin + "  ")
        for branch in node.get("branches", []):
            condition = branch["condition"]
            yield f"{margin}- {'otherwise' if condition is None else condition}"
            yield from _lines(branch["nodes"], margin + "    ")
        for name, shown in _BLOCKS.items():
            if node.get(name) is not None:
                yield f"{margin}- {shown}"
                yield from _lines(node[name]["nodes"], margin + "    ")
