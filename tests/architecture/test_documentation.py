"""What an operator can set or type is documented."""

from __future__ import annotations

import argparse
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from workflows_app.conf import Settings
from workflows_app.management.commands.workflows import Command
from workflows_app.protocol.durations import parse_duration

ROOT = Path(__file__).resolve().parents[2]
DEPENDS_ON_DEBUG = "ALLOW_PRIVATE_ADDRESSES"


def documented_settings() -> dict[str, tuple[str, str]]:
    """Environment name and default of each setting, as the tables of docs/settings.md have them."""
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]
        for line in (ROOT / "docs/settings.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    return {name: (variable, default) for name, variable, default, _ in filter(is_setting, rows)}


def is_setting(row: list[str]) -> bool:
    return len(row) == 4


def reads_as(text: str, default: object) -> bool:
    if default is None:
        return text == "none"
    if isinstance(default, bool):
        return text == str(default).lower()
    if isinstance(default, timedelta):
        return parse_duration(text) == default
    return text == ("(empty)" if default in ("", ()) else str(default))


def test_every_setting_is_documented_with_its_variable():
    documented = {name: variable for name, (variable, _) in documented_settings().items()}

    assert documented == {
        field.name: f"WORKFLOWS_{field.name}" for field in dataclasses.fields(Settings)
    }


def test_the_documented_defaults_are_the_defaults():
    documented = documented_settings()

    wrong = [
        (field.name, documented[field.name][1], field.default)
        for field in dataclasses.fields(Settings)
        if field.name != DEPENDS_ON_DEBUG and not reads_as(documented[field.name][1], field.default)
    ]

    assert wrong == []


def verbs() -> list[str]:
    parser = Command().create_parser("manage.py", "workflows")
    (verbs,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    return sorted(verbs.choices)


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_of_the_command_is_documented(verb: str):
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

    assert any(f"workflows {verb}" in page.read_text() for page in pages)
