"""Admin pages as a reader sees them: their text, without the markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.utils.html import escape

BLOCKS = frozenset(
    (
        *("div", "p", "h1", "h2", "h3", "ul", "ol", "li", "dl", "dt", "dd", "tr", "table", "br"),
        *("section", "header", "details", "summary", "pre", "form", "label"),
    )
)
CELLS = frozenset(("td", "th", "span"))
HIDDEN = frozenset(("script", "style", "select", "template", "svg", "button"))
"""Drawings say what the text says; the buttons need a script."""
VOID = frozenset(("br", "img", "input", "link", "meta", "rect", "hr"))


class Reader(HTMLParser):
    """Collects the text under the element with the given id, each block on a line of its own.

    Of a traceback only the last line: the others name places in the code.
    """

    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root
        self._depth = 0
        self._hidden = 0
        self._pre = 0
        self._traceback = False
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._depth == 0 and dict(attrs).get("id") != self._root:
            return
        if tag not in VOID:
            self._depth += 1
        self._hidden += tag in HIDDEN
        self._pre += tag == "pre"
        self._traceback = dict(attrs).get("class") == "wf-traceback"
        self.parts.append("\n" if tag in BLOCKS else " " if tag in CELLS else "")

    def handle_endtag(self, tag: str) -> None:
        if self._depth == 0 or tag in VOID:
            return
        self._depth -= 1
        self._hidden -= tag in HIDDEN
        self._pre -= tag == "pre"
        self.parts.append("\n" if tag in BLOCKS else "")

    def handle_data(self, data: str) -> None:
        if self._depth and not self._hidden:
            text = data if self._pre else re.sub(r"\s+", " ", data)
            self.parts.append(text.rstrip().rpartition("\n")[2] if self._traceback else text)


def read(response: Any, root: str = "content") -> str:
    """The page's text, a line for each block."""
    assert response.status_code == 200, response
    reader = Reader(root)
    reader.feed(response.content.decode())
    lines = (re.sub(r"(?<=\S) +", " ", line) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line.strip() for line in lines if line.strip())


def rows(response: Any) -> list[str]:
    """The rows of a change list, each on one line, without its head."""
    assert response.status_code == 200, response
    body = re.search(r"<tbody>(.*?)</tbody>", response.content.decode(), re.DOTALL)
    if body is None:
        return []
    found = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [read_fragment(row) for row in found]


def read_fragment(html: str) -> str:
    reader = Reader("root")
    reader.feed(f'<div id="root">{html}</div>')
    return " ".join("".join(reader.parts).split())


def messages(response: Any) -> list[str]:
    """What the messages framework says on the page."""
    found = re.findall(r'<ul class="messagelist">(.*?)</ul>', response.content.decode(), re.DOTALL)
    items = [item for each in found for item in re.findall(r"<li.*?</li>", each, re.DOTALL)]
    return [read_fragment(item) for item in items]


NO_SUCH_RUN = "Run with ID “404” doesn’t exist. Perhaps it was deleted?"  # noqa: RUF001 - Django's own


def shows(response: Any, text: str) -> bool:
    return escape(text) in response.content.decode()
