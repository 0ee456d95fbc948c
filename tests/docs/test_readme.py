"""The README's workflow runs, and what it shows is what is printed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.docs.examples import run_examples
from tests.docs.pages import ROOT, read_blocks
from workflows_app.engine.drain import drain_here
from workflows_app.models import Run, Step

PAGE = ROOT / "README.md"


def mailed_on(clock: Clock, sent: list[Any]) -> dict[str, Any]:
    return {
        "__name__": "docs.readme",
        "create_user": lambda payload: payload["email"],
        "send_tips": lambda user: sent.append((user, clock.now)),
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_registry")
def test_the_workflow_sends_its_tips_a_day_later(clock: Clock):
    sent: list[Any] = []
    names = mailed_on(clock, sent)
    run_examples([b for b in read_blocks(PAGE) if b.language == "python"], PAGE.name, names)
    started = clock.now

    names["welcome"].trigger({"email": "ada@example.org"})
    drain_here()
    clock.advance("1d")
    drain_here()

    assert sent == [("ada@example.org", started + timedelta(days=1))]
    assert [run.status for run in Run.objects.all()] == [Run.Status.SUCCEEDED]


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_steps_of_the_demo_are_those_that_are_shown():
    from project.workflows import order_fulfillment
    from workflows_app.management.verbs.demo import ORDER

    order_fulfillment.run(ORDER)

    (shown,) = [b.text for b in read_blocks(PAGE) if b.text.startswith("$ make demo")]
    lines = re.findall(r"^  ([\w-]+) +[\d.]+ ms  (.*)$", shown, re.M)
    steps = {step.name: step.result for step in Step.objects.all()}
    assert {name for name, _ in lines} - {"succeeded"} == set(steps)
    assert dict(lines)["succeeded"] == Run.objects.get().result
