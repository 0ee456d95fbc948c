"""The tests in docs/testing.md pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, read_blocks
from workflows_app.testing import RunUnderTest, WorkflowTest

PAGE = ROOT / "docs/testing.md"


@pytest.mark.processes
def test_the_tests_on_the_page_pass(tmp_path: Path):
    blocks = [block.text for block in read_blocks(PAGE) if block.language == "python"]
    file = tmp_path / "test_order.py"
    file.write_text("\n\n".join(blocks))
    plugin = ["-p", "workflows_app.pytest_plugin"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, "-c", "pyproject.toml", str(file)],
        cwd=ROOT,
        # In memory, as a project's own tests usually are.
        env={**os.environ, "DATABASE_URL": "sqlite:///unused.sqlite3"},
        capture_output=True,
        text=True,
        check=False,
    )

    expected = sum(text.count("def test_") for text in blocks)
    assert f"{expected} passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [WorkflowTest, RunUnderTest])
def test_the_page_names_all_that_the_kit_offers(kind: type):
    names = {name for name in dir(kind) if not name.startswith("_")}

    named = set(re.findall(r"\b\w+\b", " ".join(re.findall(r"`([^`\n]+)`", PAGE.read_text()))))

    assert names - named == set()
