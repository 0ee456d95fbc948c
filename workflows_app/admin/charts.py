"""Charts as numbers that a template draws: bars that stand side by side, each of stacked parts.

The drawing is stretched to the width there is, so there is no text in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 10.0
"""Of the place of a bar."""
GAP = 2.0
"""Between two bars."""
HEIGHT = 100.0
THINNEST = 1.0
"""What there is of something is seen, however little it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a bar shows."""

    title: str
    numbers: Sequence[int]
    """From the bottom up: of each name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    title: str
    x: float
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    width: float
    height: float
    bar_width: float
    top: int
    """What the full height stands for."""
    bars: Sequence[Bar]


def bar_chart(names: Sequence[str], columns: Sequence[Column]) -> BarChart:
    top = rounded_up(max((sum(column.numbers) for column in columns), default=0))
    bars = [
        Bar(
            title=column.title,
            x=round(index * WIDTH + GAP / 2, 2),
            blocks=_blocks(names, column.numbers, top),
        )
        for index, column in enumerate(columns)
    ]
    return BarChart(
        width=len(columns) * WIDTH, height=HEIGHT, bar_width=WIDTH - GAP, top=top, bars=bars
    )


def _blocks(names: Sequence[str], numbers: Sequence[int], top: int) -> list[Block]:
    blocks: list[Block] = []
    bottom = HEIGHT
    for name, number in zip(names, numbers, strict=True):
        if number:
            height = max(number / top * HEIGHT, THINNEST)
            bottom -= height
            blocks.append(Block(name=name, y=round(bottom, 2), height=round(height, 2)))
    return blocks


def rounded_up(number: int) -> int:
    """To the next number of the kind 1, 2, 3, 4, 5, 10, 20, 30, …; at least 1."""
    unit: int = 10 ** (len(str(number)) - 1)
    leading = -(-number // unit)
    return max(1, unit * (leading if leading <= 5 else 10))
