"""pytest finds the fixture by itself, and Django is left alone until a test asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "workflows_app.pytest_plugin"

pytestmark = pytest.mark.processes


def python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "sqlite:///unused.sqlite3"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_package_names_the_plugin_to_pytest():
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    # Named as the module, so that `-p workflows_app.pytest_plugin` does not register it twice.
    assert entry_points == {"pytest11": {PLUGIN: PLUGIN}}


def test_loading_it_imports_nothing_of_django():
    code = (
        f"import sys, {PLUGIN}\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'django'])"
    )

    assert python("-c", code) == "[]\n"


def test_the_fixture_brings_the_database_and_is_over_after_the_test(tmp_path: Path):
    file = tmp_path / "test_fixture.py"
    file.write_text(
        "from workflows_app import workflow\n"
        "from workflows_app.engine import ports\n"
        "from workflows_app.worker.transport import WorkflowTransport\n"
        "@workflow('answer')\n"
        "def answer(context):\n"
        "    return 42\n"
        "def test_one(workflows):\n"
        "    assert workflows.start(answer).result == 42\n"
        "def test_other(workflows):\n"
        "    assert workflows.runs() == []\n"
        "def test_without():\n"
        "    assert type(ports.get_transport()) is WorkflowTransport\n"
    )

    told = python("-m", "pytest", "-q", "-p", PLUGIN, "-c", "pyproject.toml", str(file))

    assert "3 passed" in told, told
