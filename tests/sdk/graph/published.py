"""The form of a graph as Cloudflare publishes it (reference 2.11), checked to the last field."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]

_KINDS = {"parallel": {"all", "any", "all_settled", "race"}, "break": {"break", "return"}}
_FIELDS: dict[str, set[str]] = {
    "step_do": {"name", "config", "nodes"},
    "step_sleep": {"name", "duration"},
    "step_sleep_until": {"name", "timestamp"},
    "step_wait_for_event": {"name", "options"},
    "loop": {"nodes"},
    "parallel": {"kind", "nodes"},
    "try": {"try_block", "catch_block", "finally_block"},
    "block": {"nodes"},
    "if": {"branches"},
    "switch": {"discriminant", "branches"},
    "function_call": {"name"},
    "function_def": {"name", "nodes"},
    "break": {"kind"},
}
_OPTIONAL = {
    "step_do": {"starts", "resolves"},
    "step_sleep": {"starts", "resolves"},
    "step_sleep_until": {"starts", "resolves"},
    "step_wait_for_event": {"starts", "resolves", "payload"},
    "function_call": {"starts", "resolves"},
}
_BLOCKS = ("try_block", "catch_block", "finally_block")


def check_graph(graph: Node) -> None:
    assert set(graph) == {"version", "workflow"}
    workflow = graph["workflow"]
    assert set(workflow) - {"payload"} == {"class_name", "functions", "nodes"}
    _check_shape(workflow.get("payload", {"type": "unknown"}))
    for name, function in workflow["functions"].items():
        assert (function["type"], function["name"]) == ("function_def", name)
        _check_nodes([function])
    _check_nodes(workflow["nodes"])


def _check_nodes(nodes: list[Node]) -> None:
    for node in nodes:
        _check_fields(node)
        _check_nodes(node.get("nodes", []))
        for branch in node.get("branches", []):
            assert set(branch) == {"condition", "nodes"}
            assert branch["condition"] is None or isinstance(branch["condition"], str)
            _check_nodes(branch["nodes"])
        for block in filter(None, map(node.get, _BLOCKS)):
            assert (set(block), block["type"]) == ({"type", "nodes"}, "block")
            _check_nodes(block["nodes"])


def _check_fields(node: Node) -> None:
    kind = node["type"]
    fields = set(node) - {"type"}
    assert _FIELDS[kind] <= fields <= _FIELDS[kind] | _OPTIONAL.get(kind, set()), node
    assert node.get("kind") in _KINDS.get(kind, {None})
    for name in ("name", "timestamp", "discriminant"):
        assert isinstance(node.get(name, ""), str)
    for name in ("starts", "resolves", "duration"):
        assert isinstance(node.get(name, 0), int | float | str)
    if kind == "step_do":
        _check_config(node["config"])
    if kind == "step_wait_for_event":
        assert set(node["options"]) == {"event_type", "timeout"}
        _check_shape(node.get("payload", {"type": "unknown"}))


def _check_config(config: Node) -> None:
    assert set(config) == {"retries", "timeout"}
    assert set(config["retries"]) == {"limit", "delay", "backoff"}
    assert isinstance(config["retries"]["limit"], int | float)
    assert isinstance(config["retries"]["delay"], int | float | str)
    assert config["retries"]["backoff"] in {"constant", "linear", "exponential"}
    assert isinstance(config["timeout"], int | float | str)


def _check_shape(shape: Node) -> None:
    if shape["type"] == "object":
        assert set(shape) == {"type", "fields"}
        for field in shape["fields"].values():
            _check_shape(field)
    else:
        assert shape == {"type": "unknown"}
