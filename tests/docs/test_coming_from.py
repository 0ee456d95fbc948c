"""Every translation of docs/coming-from.md does what stands there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_blocks, read_code
from workflows_app.testing import WorkflowTest

PAGE = ROOT / "docs/coming-from.md"
PYTHON = ("python", "pycon")
PREAMBLE = ""
SECTIONS = list(
    dict.fromkeys(block.section for block in read_blocks(PAGE) if block.language in PYTHON)
)[1:]


def test_each_section_has_a_translation():
    assert SECTIONS == [
        "From Celery",
        "From Upstash Workflow",
        "From Cloudflare Workflows",
        "From Temporal or DBOS",
    ]


@pytest.mark.django_db
@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("section", SECTIONS)
def test_the_translation_does_what_it_says_and_ends(section: str):
    with WorkflowTest() as flows:
        names: dict[str, Any] = {"__name__": "docs.coming_from", "advance": quiet(flows.advance)}
        blocks = [*read_code(PAGE, PYTHON, PREAMBLE), *read_code(PAGE, PYTHON, section)]

        run_examples(blocks, PAGE.name, names)

        assert [run.status for run in flows.runs()] == ["succeeded"]


def quiet(function: Callable[[str], object]) -> Callable[[str], None]:
    """Prints nothing where the page calls it."""

    def call(duration: str) -> None:
        function(duration)

    return call
