"""Reads the documentation: its sections, its fenced blocks and what stands above each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    section: str
    """The nearest heading of level two; empty above the first."""
    above: str
    """The last line of text before the block, which says what to do with it."""
    line: int
    """Where its first line stands in the page, from 1."""


def read_blocks(page: Path) -> list[Block]:
    blocks: list[Block] = []
    section = above = language = ""
    inside: list[str] | None = None
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = _FENCE.match(line)
        if inside is not None:
            if line == "```":
                blocks.append(
                    Block(
                        language=language,
                        text="\n".join(inside) + "\n",
                        section=section,
                        above=above,
                        line=number - len(inside),
                    )
                )
                inside = None
            else:
                inside.append(line)
        elif fence:
            language, inside = fence[1], []
        elif line.startswith("## "):
            section, above = line[3:], ""
        elif line.strip():
            above = line
    assert inside is None, f"{page.name} ends inside a block"
    return blocks


def read_code(page: Path, languages: tuple[str, ...], section: str) -> list[Block]:
    return [
        block
        for block in read_blocks(page)
        if block.section == section and block.language in languages
    ]
