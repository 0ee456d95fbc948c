"""Every example of docs/class-based.md does what stands there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_blocks, read_code
from workflows_app.testing import WorkflowTest

PAGE = ROOT / "docs/class-based.md"
PYTHON = ("python", "pycon")
PREAMBLE = ""
SECTIONS = list(
    dict.fromkeys(block.section for block in read_blocks(PAGE) if block.language in PYTHON)
)[1:]


def test_each_section_that_shows_something_is_run():
    assert SECTIONS == ["The class", "Steps", "Policies", "Errors", "Waiting", "Undoing"]


@pytest.mark.django_db
@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("replays", ["straight", "replayed"])
@pytest.mark.parametrize("section", SECTIONS)
def test_the_examples_do_what_they_say(section: str, replays: str):
    with WorkflowTest() as flows:
        if replays == "replayed":
            flows.always_replay()

        def advance(duration: str) -> None:
            flows.advance(duration)

        def result(run_id: str) -> Any:
            return flows.run(run_id).result

        names = {"__name__": "docs.class_based", "advance": advance, "result": result}
        blocks = [*read_code(PAGE, PYTHON, PREAMBLE), *read_code(PAGE, PYTHON, section)]

        run_examples(blocks, PAGE.name, names)

        assert all(not run.row.is_live for run in flows.runs())
