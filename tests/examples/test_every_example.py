"""Each example is listed, has a test, and starts as its head says."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from examples import workflows as all_examples
from tests.docs.pages import ROOT
from workflows_app import get_workflow

_COMMAND = re.compile(
    r"manage\.py workflows trigger (?P<name>\S+)(?: --wait| --run-id \S+)* --body '(?P<body>.*?)'",
    re.S,
)
_LINK = re.compile(r"\]\(([^)#]+)\)")
NAMES = all_examples.__all__
README = ROOT / "examples/README.md"


def test_all_files_are_examples_that_a_project_finds():
    files = {path.stem for path in (ROOT / "examples").glob("*.py")}

    assert files - {"__init__", "workflows", "mail"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_leads_to_the_example_and_to_its_test(name: str):
    links = _LINK.findall(README.read_text())

    assert {f"{name}.py", f"../tests/examples/test_{name}.py"} <= set(links)


def test_all_links_of_the_readme_lead_somewhere():
    links = [Path(README.parent, link) for link in _LINK.findall(README.read_text())]

    assert [link for link in links if not link.exists()] == []


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_the_command_in_its_head_starts_a_run_of_it(name: str):
    example = import_module(f"examples.{name}")
    command = _COMMAND.search(example.__doc__ or "")
    assert command is not None

    workflow = get_workflow(command["name"])
    started = workflow.trigger(json.loads(command["body"]))

    assert workflow.__module__ == example.__name__
    assert not started.deduplicated
