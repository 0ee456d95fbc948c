"""Runs the Python examples of a page, as a reader would who types them in one after the other."""

from __future__ import annotations

import doctest
from collections.abc import Iterable
from typing import Any

from tests.docs.pages import Block

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_examples(blocks: Iterable[Block], page: str, names: dict[str, Any]) -> None:
    """Execute `python` blocks, and compare what the `>>>` lines of `pycon` blocks print."""
    for block in blocks:
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, page, "exec"), names)
        elif block.language == "pycon":
            _run_session(block, page, names)


def _run_session(block: Block, page: str, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, page, page, block.line - 1)
    assert test.examples, f"{page}:{block.line}: a pycon block without >>>"
    report: list[str] = []
    test.globs = names
    result = doctest.DocTestRunner(optionflags=_FLAGS).run(
        test, out=report.append, clear_globs=False
    )
    assert not result.failed, "".join(report)
