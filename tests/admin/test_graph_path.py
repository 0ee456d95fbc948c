"""Which way a run has taken through the graph of its version."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin import flows
from tests.admin.conftest import run_called
from tests.conftest import Clock
from workflows_app import Context, workflow
from workflows_app.admin.graph_path import graph_of_run
from workflows_app.engine.drain import drain_here
from workflows_app.models import Run

pytestmark = pytest.mark.django_db

MOST_QUERIES = 5


@workflow("admin-two-naps")
def two_naps(context: Context) -> None:
    context.race(partial(context.sleep, "short", "1h"), partial(context.sleep, "long", "2h"))
    context.sleep("later", "1d")


def marks_of(run: Run) -> dict[str, tuple[str, str]]:
    """Sign and colour by the text of each marked box; read in a few queries."""
    run = Run.objects.get(pk=run.pk)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        drawing = graph_of_run(run)
    assert len(queries) <= MOST_QUERIES
    assert drawing is not None
    return {
        each.lines[0].text: (each.sign.text, each.sign.tone) for each in drawing.boxes if each.sign
    }


def drained(flow: Any, payload: Any = None) -> Run:
    flow.trigger(payload, workflow_run_id="way")
    drain_here()
    return run_called("way")


def test_steps_that_are_done_are_marked(db: None) -> None:
    assert marks_of(drained(flows.order)) == {"create": ("✓", "done"), "confirm": ("✓", "done")}


def test_a_computed_name_stands_for_all_steps_that_fit_it(db: None) -> None:
    assert marks_of(drained(flows.many, 30)) == {"step-{number}": ("✓ 30", "done")}


def test_the_step_that_failed_the_run_is_marked(failed_run: Run) -> None:
    assert marks_of(failed_run) == {"load-cart": ("✓", "done"), "charge-card": ("✗", "failed")}


def test_a_step_that_is_to_be_tried_again_is_where_the_run_is(db: None) -> None:
    run = drained(flows.charge)

    assert marks_of(run)["charge-card"] == ("▶", "now")


def test_a_run_that_sleeps_or_waits_is_at_that_step(sleeping_run: Run, clock: Clock) -> None:
    assert marks_of(sleeping_run) == {"undress": ("✓", "done"), "night": ("▶", "now")}
    assert marks_of(drained(flows.wait)) == {"payment": ("▶", "now")}

    clock.advance("8h")
    drain_here()

    assert marks_of(sleeping_run)["night"] == ("✓", "done")


def test_what_has_lost_a_race_is_not_marked_as_failed(db: None, clock: Clock) -> None:
    run = drained(two_naps)
    clock.advance("1h")
    drain_here()

    assert marks_of(run) == {"short": ("✓", "done"), "later": ("▶", "now")}


def test_without_a_version_there_is_no_graph(db: None) -> None:
    assert graph_of_run(Run()) is None
