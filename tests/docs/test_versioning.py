"""Every example of docs/versioning.md does what stands there."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

import workflows_app
from tests.conftest import Clock
from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, Block, read_code
from workflows_app.engine.drain import drain_here
from workflows_app.engine.leases import next_due
from workflows_app.models import Run, Step
from workflows_app.sdk.graph import graph_of_source

PAGE = ROOT / "docs/versioning.md"
PYTHON = ("python", "pycon")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_registry"),
]


def blocks_of(section: str) -> list[Block]:
    return list(read_code(PAGE, PYTHON, section))


def run_section(section: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "docs.versioning"}
    run_examples([*blocks_of(""), *blocks_of(section)], PAGE.name, names)
    return names


def work_until_nothing_is_owed(clock: Clock) -> None:
    drain_here()
    while (due := next_due()) is not None:
        clock.stop_at(max(due, clock.now))
        drain_here()


def check() -> list[str]:
    out = StringIO()
    call_command("workflows", "check", stdout=out)
    return out.getvalue().splitlines()


def test_a_reminder_becomes_a_mail_where_no_letter_has_been_sent(clock: Clock):
    before, start, after = blocks_of("Patched")
    names: dict[str, Any] = {"__name__": "docs.versioning"}
    run_examples([*blocks_of(""), before], PAGE.name, names)
    names["reminder"].trigger(workflow_run_id="sent")
    drain_here()
    clock.advance("14d")
    drain_here()
    run_examples([start, after], PAGE.name, names)

    (shown,) = read_code(PAGE, ("text",), "Patched")
    clock.advance("14d")
    said = check()
    work_until_nothing_is_owed(clock)

    assert said == shown.text.splitlines()[1:]
    results = dict(Run.objects.values_list("run_id", "result"))
    assert results == {"sent": '"a letter"', "asleep": '"a mail"'}


def test_a_workflow_may_go_on_under_a_new_name(clock: Clock):
    names = run_section("A new name")

    assert names["reminder_2027"].run().result == "a mail"


def test_a_digest_goes_on_for_ever_under_one_id(clock: Clock):
    run_section("Runs that go on for ever")
    workflows_app.notify("letter", "a letter", "digest-ada")
    drain_here()
    clock.advance("7d")
    drain_here()

    runs = Run.objects.filter(run_id="digest-ada").order_by("pk")

    sent = Step.objects.filter(name="send").order_by("pk")
    assert [step.result for step in sent] == ['"issue 1: a letter"', '"issue 2: nothing new"']
    assert [run.is_live for run in runs] == [False, False, True]


def test_the_graph_is_that_of_the_source():
    source, graph = read_code(PAGE, ("python", "json"), "The graph of a version")

    assert graph_of_source(source.text, "Parcel") == json.loads(graph.text)
