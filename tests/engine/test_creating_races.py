"""Callers that want the same ids within a workflow at the same time, over real sessions."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from tests.engine.test_creating import create_all
from tests.engine.test_races import at_once
from workflows_app.engine import run_moves
from workflows_app.models import Account, Message, Run

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = [f"order-{number}" for number in range(12)]
ORDERS = [NAMES, NAMES[::-1], NAMES[6:] + NAMES[:6]]
ROUNDS = 4


def test_each_id_is_used_once_and_whoever_did_not_get_it_is_told_so(account: Account) -> None:
    results = at_once(*(partial(create_all, account, *order) for order in ORDERS))

    made = [run.run_id for created in results for run in created.runs]
    assert Counter(made) == Counter(NAMES)
    assert Run.objects.count() == Message.objects.count() == len(NAMES)
    for created, order in zip(results, ORDERS, strict=True):
        assert {run.run_id for run in created.runs} | set(created.existing) == set(order)


def test_an_id_is_used_once_even_when_its_run_ends_at_once(account: Account) -> None:
    def create_and_cancel(order: list[str]) -> None:
        for name in order:
            for run in create_all(account, name).runs:
                run_moves.cancel(run)

    for turn in range(ROUNDS):
        orders = [[f"{name}-{turn}" for name in order] for order in ORDERS]
        at_once(*(partial(create_and_cancel, order) for order in orders))

    assert Run.objects.count() == ROUNDS * len(NAMES)
