"""Where the boxes of a graph stand: from top to bottom, and side by side what is alternative or at
once. Nothing here knows what the boxes mean.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from workflows_app.admin.graph_nodes import GraphNode, Lane

MARGIN = 12
"""Room for the signs on the corners of boxes."""
PAD = 12
GAP = 24
"""Between two boxes that follow each other; an arrow stands there."""
BESIDE = 12
LINE = 16
CHARACTER = 7
"""As wide as one of them is taken to be: most are narrower."""
NARROWEST, WIDEST = 96, 264
WIDEST_ROW = 900
"""Lanes that do not fit beside each other go below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    node: GraphNode
    x: int
    y: int
    width: int
    height: int

    @property
    def texts(self) -> list[str]:
        """What fits into it, line by line."""
        room = self.width - 2 * PAD
        return [fitted(each, room) for each in (self.node.title, self.node.detail) if each]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneBox:
    label: str
    x: int
    y: int
    width: int
    height: int

    @property
    def texts(self) -> list[str]:
        return [fitted(self.label, self.width - 2 * PAD)] if self.label else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    x: int
    top: int
    bottom: int


@dataclass(slots=True)
class Layout:
    width: int = 0
    height: int = 0
    boxes: list[Box | LaneBox] = field(default_factory=list)
    """What is around others comes before them."""
    arrows: list[Arrow] = field(default_factory=list)


def lay_out(nodes: tuple[GraphNode, ...]) -> Layout:
    root = _measured_lane(Lane(label="", nodes=nodes))
    layout = Layout(width=root.width + 2 * MARGIN, height=root.height + 2 * MARGIN)
    _place_items(root, MARGIN, MARGIN, layout)
    return layout


def width_of(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return (len(text) + wide) * CHARACTER


def fitted(text: str, room: int) -> str:
    """Its beginning, as far as there is room."""
    if width_of(text) <= room:
        return text
    while text and width_of(text) > room - CHARACTER:
        text = text[:-1]
    return f"{text}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    node: GraphNode
    width: int
    height: int
    head: int = 0
    """As high as what stands above its lanes."""
    rows: Sequence[_Row] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _SizedLane:
    label: str
    width: int
    height: int
    items: Sequence[_Item]
    head: int = 0
    pad: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    lanes: Sequence[_SizedLane]

    @property
    def width(self) -> int:
        return sum(lane.width for lane in self.lanes) + BESIDE * (len(self.lanes) - 1)

    @property
    def height(self) -> int:
        return max(lane.height for lane in self.lanes)


def _measured(node: GraphNode) -> _Item:
    texts = [each for each in (node.title, node.detail) if each]
    head = LINE * max(len(texts), 1) + PAD
    width = max([NARROWEST, *(min(width_of(each) + 2 * PAD, WIDEST) for each in texts)])
    if not node.lanes:
        return _Item(node=node, width=width, height=head)
    rows = _rows(node)
    inner = sum(row.height + PAD for row in rows)
    width = max(width, *(row.width + 2 * PAD for row in rows))
    return _Item(node=node, width=width, height=head + inner, head=head, rows=rows)


def _rows(node: GraphNode) -> list[_Row]:
    is_one = len(node.lanes) == 1 and not node.lanes[0].label
    lanes = [_measured_lane(lane, 0 if is_one else BESIDE) for lane in node.lanes]
    if node.is_stacked:
        return [_Row(lanes=[lane]) for lane in lanes]
    rows: list[list[_SizedLane]] = [[]]
    for lane in lanes:
        if rows[-1] and _Row(lanes=[*rows[-1], lane]).width > WIDEST_ROW:
            rows.append([])
        rows[-1].append(lane)
    return [_Row(lanes=row) for row in rows]


def _measured_lane(lane: Lane, pad: int = 0) -> _SizedLane:
    items = [_measured(node) for node in lane.nodes]
    head = LINE + PAD // 2 if lane.label else 0
    labelled = min(width_of(lane.label), WIDEST)
    width = max([NARROWEST, labelled, *(item.width for item in items)]) + 2 * pad
    height = sum(item.height for item in items) + GAP * max(len(items) - 1, 0) + head + 2 * pad
    return _SizedLane(label=lane.label, width=width, height=height, items=items, head=head, pad=pad)


def _place(item: _Item, x: int, y: int, layout: Layout) -> None:
    layout.boxes.append(Box(node=item.node, x=x, y=y, width=item.width, height=item.height))
    top = y + item.head
    for row in item.rows:
        left = x + (item.width - row.width) // 2
        for lane in row.lanes:
            _place_lane(lane, left, top, row.height, layout)
            left += lane.width + BESIDE
        top += row.height + PAD


def _place_lane(lane: _SizedLane, x: int, y: int, height: int, layout: Layout) -> None:
    if lane.pad:
        box = LaneBox(label=lane.label, x=x, y=y, width=lane.width, height=height)
        layout.boxes.append(box)
    _place_items(lane, x, y + lane.pad + lane.head, layout)


def _place_items(lane: _SizedLane, x: int, y: int, layout: Layout) -> None:
    """One under the other, on a middle line."""
    middle = x + lane.width // 2
    for index, item in enumerate(lane.items):
        if index:
            layout.arrows.append(Arrow(x=middle, top=y, bottom=y + GAP))
            y += GAP
        _place(item, middle - item.width // 2, y, layout)
        y += item.height
