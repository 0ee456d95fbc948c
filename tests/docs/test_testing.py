"""The tests in docs/testing.md pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, read_blocks

PAGE = ROOT / "docs/testing.md"


@pytest.mark.processes
def test_the_tests_on_the_page_pass(tmp_path: Path):
    (block,) = [block for block in read_blocks(PAGE) if block.language == "python"]
    file = tmp_path / "test_reminder.py"
    file.write_text(block.text)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), str(file)],
        cwd=ROOT,
        # In memory, as a project's own tests usually are.
        env={**os.environ, "DATABASE_URL": "sqlite:///unused.sqlite3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr
