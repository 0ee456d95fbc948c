"""The nodes of a workflow's graph, in the words of a page. The JSON may be anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.admin.displays import span
from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json

MOST_NODES = 500
"""Of one graph; what comes after is left out, and that is said."""
DEEPEST = 24

_UNKNOWN = ("", "[dynamic]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Nodes that follow each other."""

    label: str
    nodes: tuple[GraphNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """With lanes it is a frame around them."""

    kind: str
    """As a CSS class: step, sleep, wait, loop, parallel, branches, try, call, end, other."""
    title: str
    detail: str = ""
    name: str = ""
    """Of a step; what stands in braces was computed."""
    lanes: tuple[Lane, ...] = ()
    is_stacked: bool = False
    """Whether its lanes follow each other, too."""


def read_graph(text: str | None) -> tuple[GraphNode, ...]:
    """The nodes of stored JSON; nothing where there is none, or it cannot be read."""
    try:
        graph = decode_json(text or "null")
    except InvalidInput:
        return ()
    workflow = _dict(_dict(graph).get("workflow"))
    reader = _Reader(_dict(workflow.get("functions")))
    return reader.nodes(workflow.get("nodes"))


def walk(nodes: tuple[GraphNode, ...]) -> Iterator[GraphNode]:
    for node in nodes:
        yield node
        for lane in node.lanes:
            yield from walk(lane.nodes)


class _Reader:
    """A function is drawn where it is called first, so a graph does not grow by being read."""

    def __init__(self, functions: dict[str, Any]) -> None:
        self._functions = functions
        self._drawn: set[str] = set()
        self._left = MOST_NODES
        self._depth = 0

    def nodes(self, raw: object) -> tuple[GraphNode, ...]:
        found: list[GraphNode] = []
        for each in raw if isinstance(raw, list) else []:
            if self._left <= 0 or self._depth >= DEEPEST:
                found.append(GraphNode(kind="other", title="…", detail=_("more than is drawn")))
                break
            self._left -= 1
            self._depth += 1
            node = _dict(each)
            found.append(_HANDLERS.get(_text(node, "type"), _Reader._other)(self, node))
            self._depth -= 1
        return tuple(found)

    def _lane(self, raw: object, label: str = "") -> Lane:
        return Lane(label=label, nodes=self.nodes(raw))

    def _inside(self, node: dict[str, Any]) -> tuple[Lane, ...]:
        """What is nested in it, if anything."""
        lane = self._lane(node.get("nodes"))
        return (lane,) if lane.nodes else ()

    def _step(self, node: dict[str, Any]) -> GraphNode:
        name = _text(node, "name")
        detail = _together(_policy(_dict(node.get("config"))), _unawaited(node))
        lanes = self._inside(node)
        return GraphNode(kind="step", title=name, detail=detail, name=name, lanes=lanes)

    def _sleep(self, node: dict[str, Any]) -> GraphNode:
        name, length = _text(node, "name"), _span(node.get("duration"))
        said = _("sleeps for %(duration)s") % {"duration": length} if length else _("sleeps")
        detail = _together(said, _unawaited(node))
        return GraphNode(kind="sleep", title=name, detail=detail, name=name)

    def _sleep_until(self, node: dict[str, Any]) -> GraphNode:
        name, moment = _text(node, "name"), _text(node, "timestamp")
        said = _("sleeps until a time")
        if moment not in _UNKNOWN:
            said = _("sleeps until %(moment)s") % {"moment": moment}
        return GraphNode(
            kind="sleep", title=name, detail=_together(said, _unawaited(node)), name=name
        )

    def _wait(self, node: dict[str, Any]) -> GraphNode:
        name, options = _text(node, "name"), _dict(node.get("options"))
        event, longest = _text(options, "event_type"), _span(options.get("timeout"))
        said = _("waits for an event")
        if event not in _UNKNOWN:
            said = _("waits for event %(event)s") % {"event": event}
        within = _("at most %(duration)s") % {"duration": longest} if longest else ""
        detail = _together(said, within, _unawaited(node))
        return GraphNode(kind="wait", title=name, detail=detail, name=name)

    def _loop(self, node: dict[str, Any]) -> GraphNode:
        return GraphNode(kind="loop", title=_("loop"), lanes=(self._lane(node.get("nodes")),))

    def _parallel(self, node: dict[str, Any]) -> GraphNode:
        titles = {
            "any": _("in parallel, until one succeeds"),
            "all_settled": _("in parallel, whether or not they fail"),
            "race": _("in parallel, until one ends"),
        }
        members = node.get("nodes")
        raw = members if isinstance(members, list) else []
        lanes = [self._lane(_members(each)) for each in raw]
        title = titles.get(_text(node, "kind"), _("in parallel"))
        return GraphNode(kind="parallel", title=title, lanes=_filled(lanes))

    def _if(self, node: dict[str, Any]) -> GraphNode:
        return GraphNode(kind="branches", title=_("if"), lanes=self._branches(node, _("else")))

    def _switch(self, node: dict[str, Any]) -> GraphNode:
        title = _("switch on %(value)s") % {"value": _text(node, "discriminant")}
        return GraphNode(kind="branches", title=title, lanes=self._branches(node, _("otherwise")))

    def _branches(self, node: dict[str, Any], otherwise: str) -> tuple[Lane, ...]:
        raw = node.get("branches")
        branches = [_dict(each) for each in raw] if isinstance(raw, list) else []
        return tuple(
            self._lane(each.get("nodes"), _text(each, "condition") or otherwise)
            for each in branches[:MOST_NODES]
        )

    def _try(self, node: dict[str, Any]) -> GraphNode:
        blocks = (
            ("try_block", _("try")),
            ("catch_block", _("if it fails")),
            ("finally_block", _("in any case")),
        )
        lanes = [
            self._lane(_dict(node[name]).get("nodes"), label)
            for name, label in blocks
            if node.get(name) is not None
        ]
        return GraphNode(
            kind="try", title=_("errors are handled"), lanes=tuple(lanes), is_stacked=True
        )

    def _block(self, node: dict[str, Any]) -> GraphNode:
        return GraphNode(kind="other", title=_("one after the other"), lanes=self._inside(node))

    def _call(self, node: dict[str, Any]) -> GraphNode:
        name = _text(node, "name")
        function, detail = self._functions.get(name), ""
        lanes: tuple[Lane, ...] = ()
        if name in self._drawn:
            detail = _("as above")
        elif function is not None:
            self._drawn.add(name)
            lanes = self._inside(_dict(function))
        return GraphNode(
            kind="call", title=f"{name}()", detail=_together(detail, _unawaited(node)), lanes=lanes
        )

    def _function(self, node: dict[str, Any]) -> GraphNode:
        title = f"{_text(node, 'name') or _text(node, 'class_name')}()"
        return GraphNode(kind="call", title=title, lanes=self._inside(node))

    def _end(self, node: dict[str, Any]) -> GraphNode:
        is_return = _text(node, "kind") == "return"
        detail = _("ends here") if is_return else _("leaves the loop")
        return GraphNode(kind="end", title=_text(node, "kind") or "break", detail=detail)

    def _other(self, node: dict[str, Any]) -> GraphNode:
        """Of a type that this page does not know: what can be said about it all the same."""
        kind, name = _text(node, "type"), _text(node, "name")
        title = name or kind or _("unknown")
        return GraphNode(
            kind="other",
            title=title,
            detail=kind if name else "",
            name=name,
            lanes=self._inside(node),
        )


_HANDLERS: dict[str, Callable[[_Reader, dict[str, Any]], GraphNode]] = {
    "step_do": _Reader._step,
    "step_sleep": _Reader._sleep,
    "step_sleep_until": _Reader._sleep_until,
    "step_wait_for_event": _Reader._wait,
    "loop": _Reader._loop,
    "parallel": _Reader._parallel,
    "if": _Reader._if,
    "switch": _Reader._switch,
    "try": _Reader._try,
    "block": _Reader._block,
    "start": _Reader._function,
    "function_call": _Reader._call,
    "function_def": _Reader._function,
    "break": _Reader._end,
}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(node: dict[str, Any], field: str) -> str:
    value = node.get(field)
    return value if isinstance(value, str) else ""


def _filled(lanes: list[Lane]) -> tuple[Lane, ...]:
    return tuple(lane for lane in lanes if lane.nodes)


def _members(node: object) -> list[Any]:
    """Of one branch of several that run at once."""
    nodes = _dict(node).get("nodes")
    is_block = _dict(node).get("type") == "block" and isinstance(nodes, list)
    return nodes if is_block and nodes else [node]


def _together(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _unawaited(node: dict[str, Any]) -> str:
    """Of a step that goes on while what follows it does."""
    if "starts" not in node:
        return ""
    return _("goes on beside what follows")


def _policy(config: dict[str, Any]) -> str:
    limit, longest = _dict(config.get("retries")).get("limit"), _span(config.get("timeout"))
    tries = ""
    if isinstance(limit, int):
        tries = ngettext("%(number)d retry", "%(number)d retries", limit) % {"number": limit}
    within = _("at most %(duration)s") % {"duration": longest} if longest else ""
    return _together(tries, within)


def _span(value: object) -> str:
    """A number is milliseconds."""
    if isinstance(value, str):
        return "" if value in _UNKNOWN else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        return span(timedelta(milliseconds=value)) or "0 s"
    except (OverflowError, ValueError):
        return str(value)
