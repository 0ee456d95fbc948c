"""Statements that PostgreSQL plans once for each connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections

from workflows_app.engine.database import fetch_row, fetch_sql, is_postgresql
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
        assert fetch_row(Account, "WHERE id = %s", [account.pk]) == account


def test_what_every_delivery_reads_is_planned_once() -> None:
    account = Account.objects.default()

    read_often(account)

    assert plans() == 1


def test_behind_a_pooler_nothing_is_kept_in_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    account = Account.objects.default()

    read_often(account)

    assert plans() == 0


def a_request_begins() -> None:
    """As Django does for each connection that it keeps."""
    wrapper: Any = connection
    wrapper.health_check_enabled = True
    wrapper.health_check_done = False


def end_session_from_outside() -> None:
    ((session,),) = fetch_sql("SELECT pg_backend_pid()", [])
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [session])
    other.close()


def test_a_session_that_the_server_has_ended_is_replaced_by_the_next_request() -> None:
    account = Account.objects.default()
    end_session_from_outside()

    a_request_begins()

    read_often(account)
