"""`workflows seed`."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.management.conftest import Verb
from workflows_app.engine.states import State, states_of
from workflows_app.models import DeadLetter, Run, RunLabel, Step

pytestmark = pytest.mark.django_db


def test_seeding_stores_as_many_runs_as_asked_for_in_all_states(
    workflows: Verb, settings: Settings
) -> None:
    settings.DEBUG = True

    said = workflows("seed", "--runs", "2010", "--steps-per-run", "2")

    assert said.stdout[-1].startswith("stored 2,010 runs, ")
    assert Run.objects.count() == 2010
    states = set(states_of(Run.objects.all()).values())
    assert states >= set(State) - {State.PAUSING, State.ROLLING_BACK}
    labelled = Run.objects.filter(pk__in=RunLabel.objects.values("run")).order_by("?")[:20]
    for run in labelled:
        assert run.label_list == list(run.label_rows.order_by("pk").values_list("name", flat=True))
    assert DeadLetter.objects.exclude(run__status=Run.Status.FAILED).count() == 0
    assert Step.objects.filter(run__run_id="seed-1000-steps").count() == 1000


def test_seeding_where_debug_is_off_needs_a_yes(workflows: Verb) -> None:
    assert "--yes" in (workflows("seed").refusal or "")
    assert not Run.objects.exists()
    assert workflows("seed", "--runs", "30", "--yes").refusal is None
