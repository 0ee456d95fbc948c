"""Inserting many rows at once, which have more or less in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.forms.models import model_to_dict

from tests.conftest import Clock
from workflows_app.engine.inserting import insert_many
from workflows_app.models import Account, Run

pytestmark = pytest.mark.django_db


def run(account: Account, clock: Clock, **changes: Any) -> Run:
    given = {"run_id": "a", "url": "http://peer.example/", "retries": 3, "created_at": clock.now}
    return Run(account=account, **{**given, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        [{}],
        [{}, {}],
        [{"run_id": "b", "live_id": "b"}, {"live_id": None}, {"run_id": "c", "live_id": "c"}],
        [{"payload": b"\0\xff"}, {"payload": b""}],
        [{"payload": b"\0\xff"}, {"payload": b"\0\xff"}],
        [{"timeout": timedelta(seconds=1.5)}, {}, {"timeout": timedelta(days=400)}],
        [{"retries": 0}, {"retries": 7}],
        [{"labels": '["it\'s %s"]'}, {"labels": 'ä,{}\\"'}],
    ],
)
def test_rows_are_stored_as_they_are_and_in_their_order(
    account: Account, clock: Clock, changes: list[dict[str, Any]]
) -> None:
    rows = [run(account, clock, **each) for each in changes]

    insert_many(rows)

    stored = list(Run.objects.order_by("pk"))
    assert [each.pk for each in rows] == [each.pk for each in stored]
    assert not any(each._state.adding for each in rows)
    for row, kept in zip(rows, stored, strict=True):
        assert model_to_dict(row) | {"payload": None} == model_to_dict(kept) | {"payload": None}
        assert (bytes(row.payload), row.live_id) == (bytes(kept.payload), kept.live_id)


def test_nothing_is_inserted_where_there_is_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        insert_many([])
