"""The graph of a version as a picture, and as a list for who cannot see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.admin.graph_layout import CHARACTER, LINE, Arrow, Box, LaneBox, lay_out
from workflows_app.admin.graph_nodes import GraphNode, read_graph, walk

SIGNS = {"done": "✓", "failed": "✗", "now": "▶"}
"""Of how a run got on with a step, by the CSS class."""

_SIGN_HEIGHT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a run got on with a step."""

    tone: str
    words: str
    times: int = 1

    @property
    def sign(self) -> str:
        return SIGNS[self.tone] if self.times == 1 else f"{SIGNS[self.tone]} {self.times}"


Marks = Mapping[str, Mark]
"""By the names of nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    text: str
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A mark on the corner of its box."""

    text: str
    tone: str
    x: int
    y: int
    width: int
    height: int = _SIGN_HEIGHT

    @property
    def middle(self) -> int:
        return self.x + self.width // 2

    @property
    def baseline(self) -> int:
        return self.y + 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    box: Box | LaneBox
    classes: str
    tooltip: str
    lines: list[Line]
    sign: Sign | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """For `run/_graph.html`."""

    label: str
    width: int
    height: int
    boxes: list[Drawn]
    arrows: list[Arrow]
    outline: SafeString
    legend: list[Mark]
    """One mark of each tone that occurs."""


def draw(graph: str | None, marks: Marks | None = None) -> Drawing | None:
    """None where there is nothing to draw."""
    nodes = read_graph(graph)
    if not nodes:
        return None
    given = marks or {}
    layout = lay_out(nodes)
    count = sum(1 for _node in walk(nodes))
    label = ngettext(
        "Graph of %(number)d node; the list below says the same",
        "Graph of %(number)d nodes; the list below says the same",
        count,
    )
    return Drawing(
        label=label % {"number": count},
        width=layout.width,
        height=layout.height,
        boxes=[_drawn(each, given) for each in layout.boxes],
        arrows=layout.arrows,
        outline=_outline(nodes, given),
        legend=_legend(nodes, given),
    )


def _drawn(box: Box | LaneBox, marks: Marks) -> Drawn:
    lines = [
        Line(text=text, x=box.x + box.width // 2, y=box.y + LINE * (number + 1) + 2)
        for number, text in enumerate(box.texts)
    ]
    if isinstance(box, LaneBox):
        return Drawn(box=box, classes="wf-branch", tooltip=box.label, lines=lines)
    node, mark = box.node, marks.get(box.node.name)
    classes = ["wf-node", f"wf-node-{node.kind}"]
    classes += ["wf-node-frame"] if node.lanes else []
    classes += [f"wf-mark-{mark.tone}"] if mark else []
    return Drawn(
        box=box,
        classes=" ".join(classes),
        tooltip=_sentence(node, mark),
        lines=lines,
        sign=_sign(box, mark) if mark else None,
    )


def _sign(box: Box, mark: Mark) -> Sign:
    width = max(len(mark.sign) * CHARACTER + 8, _SIGN_HEIGHT)
    x, y = box.x + box.width + 6 - width, box.y - _SIGN_HEIGHT // 2
    return Sign(text=mark.sign, tone=mark.tone, x=x, y=y, width=width)


def _legend(nodes: tuple[GraphNode, ...], marks: Marks) -> list[Mark]:
    words = {"done": _("done"), "failed": _("failed"), "now": _("where it is now")}
    found = {marks[node.name].tone for node in walk(nodes) if node.name in marks}
    return [Mark(tone=tone, words=said) for tone, said in words.items() if tone in found]


def _outline(nodes: tuple[GraphNode, ...], marks: Marks) -> SafeString:
    items = ((_sentence(each, marks.get(each.name)), _outlined(each, marks)) for each in nodes)
    return format_html_join("", "<li>{}{}</li>", items)


def _outlined(node: GraphNode, marks: Marks) -> SafeString | str:
    """What is in it."""
    if not node.lanes:
        return ""
    if len(node.lanes) == 1 and not node.lanes[0].label:
        return format_html("<ol>{}</ol>", _outline(node.lanes[0].nodes, marks))
    lanes = (
        (lane.label or _("branch %(number)d") % {"number": number}, _outline(lane.nodes, marks))
        for number, lane in enumerate(node.lanes, 1)
    )
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}<ol>{}</ol></li>", lanes))


def _sentence(node: GraphNode, mark: Mark | None) -> str:
    return ": ".join(part for part in (node.title, node.detail, mark and mark.words) if part)
