"""Every example of docs/middlewares.md does what stands there."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pytest_django import Settings

from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_code
from workflows_app import conf, logging_middleware

PAGE = ROOT / "docs/middlewares.md"
PYTHON = ("python", "pycon")
SECTIONS = ("Callbacks", "Preparing resources")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_registry"),
]


def run_page() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "docs.middlewares"}
    for section in SECTIONS:
        run_examples(read_code(PAGE, PYTHON, section), PAGE.name, names)
    return names


def test_its_examples_print_what_they_say():
    run_page()


def test_the_setting_is_read_as_it_is_written(settings: Settings):
    names: dict[str, Any] = {}
    run_examples(read_code(PAGE, PYTHON, "Attaching them"), PAGE.name, names)
    settings.WORKFLOWS = names["WORKFLOWS"]

    assert conf.get_settings().MIDDLEWARES == (
        "workflows_app.logging_middleware",
        "shop.monitoring.progress",
    )


def test_the_lines_of_the_log_look_as_they_stand(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    settings.WORKFLOWS = {"MIDDLEWARES": ["workflows_app.logging_middleware"]}
    caplog.set_level(logging.INFO, "workflows_app.runs")
    run_page()

    (quoted,) = read_code(PAGE, ("text",), "Attaching them")
    logged = {shape(each.message) for each in caplog.records if each.name == "workflows_app.runs"}
    assert {shape(line) for line in quoted.text.splitlines()} <= logged
    assert logging_middleware.name == "logging"


def shape(line: str) -> str:
    """The line without what differs from run to run."""
    words = (word.partition("=") for word in line.split(" "))
    return " ".join(
        name if name in ("run", "ms") else f"{name}{equals}{value}" for name, equals, value in words
    )
