"""Sources of workflows as lines, and how two of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff

MOST_LINES = 3_000
"""Of a source that is shown, or compared."""

_TONES = {"+": "added", "-": "removed", "@": "place"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLine:
    text: str
    tone: str = ""
    """As a CSS class: added, removed, place; a sign at its beginning says the same."""


def source_lines(source: str) -> list[CodeLine]:
    return [CodeLine(text=text) for text in source.splitlines()[:MOST_LINES]]


def is_cut(source: str) -> bool:
    return len(source.splitlines()) > MOST_LINES


def difference(before: str, after: str) -> list[CodeLine]:
    """Where the one has become the other, with a few lines around it; nothing where they are the
    same.
    """
    lines = unified_diff(
        before.splitlines()[:MOST_LINES], after.splitlines()[:MOST_LINES], lineterm=""
    )
    # The first two name files.
    return [CodeLine(text=text, tone=_TONES.get(text[:1], "")) for text in list(lines)[2:]]
