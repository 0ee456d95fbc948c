"""The architecture, as imports tell it. The contracts themselves are in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workflows_app"

FORBIDDEN = {
    # import-linter can only ban whole packages, and Django has both sides in one
    "engine": (
        "django.http",
        "django.contrib",
        "django.views",
        "django.urls",
        "django.core.management",
    ),
    "models": (
        "django.http",
        "django.contrib",
        "django.views",
        "django.urls",
        "django.core.management",
    ),
    "protocol": ("django", "requests"),
}


def test_the_import_contracts_hold():
    # In a process of its own: it reconfigures logging, which other tests listen to.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]

    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_the_inner_layers_know_no_web(layer: str):
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((PACKAGE / layer).rglob("*.py"))
        for name in imported_names(path)
        if any(name == banned or name.startswith(f"{banned}.") for banned in FORBIDDEN[layer])
    ]

    assert found == []


def test_django_settings_are_read_in_one_place():
    readers = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if "django.conf.settings" in set(imported_names(path))
    ]

    assert readers == ["conf.py"]


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_a_module_is_named_after_what_it_knows(name: str):
    assert [str(path) for path in ROOT.glob(f"workflows_app/**/{name}*")] == []


def imported_names(path: Path) -> Iterator[str]:
    """Every module, and every name taken from one, that the file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
