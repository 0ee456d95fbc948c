"""Statements that PostgreSQL plans once for each connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from workflows_app.engine.accounts import read_account
from workflows_app.engine.database import fetch_sql, is_postgresql
from workflows_app.models import Account

pytestmark = pytest.mark.django_db(transaction=True)

OFTEN = 8


@pytest.fixture(autouse=True)
def own_connection() -> Iterator[None]:
    if not is_postgresql():
        pytest.skip("only PostgreSQL keeps plans for a connection")
    connection.close()
    yield
    connection.close()


def plans() -> int:
    ((count,),) = fetch_sql("SELECT count(*) FROM pg_prepared_statements", [])
    return int(count)


def read_often(account: Account) -> None:
    for _ in range(OFTEN):
        assert read_account(account.pk) == account


def test_what_every_delivery_reads_is_planned_once() -> None:
    account = Account.objects.default()

    read_often(account)

    assert plans() == 1


def test_behind_a_pooler_nothing_is_kept_in_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    account = Account.objects.default()

    read_often(account)

    assert plans() == 0
