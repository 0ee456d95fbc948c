"""Statements that PostgreSQL plans once for each connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, connections, transaction

from tests.engine.world import World
from tests.shells import Define
from workflows_app.engine import run_moves, triggering
from workflows_app.engine.accounts import create_token, find_token
from workflows_app.engine.database import fetch_sql, is_postgresql, run_sql
from workflows_app.engine.drain import drain_here
from workflows_app.engine.prepared import BY_INDEX, fetch_prepared, fetch_row
from workflows_app.engine.recent import forget
from workflows_app.engine.remote import publishing
from workflows_app.models import Account, Token
from workflows_app.protocol.publishing import StepRequest
from workflows_app.protocol.runs import RunRequest

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


def test_a_connection_that_serves_one_request_plans_nothing_for_another() -> None:
    assert fetch_row(Account, "WHERE id = %s", [1]) is not None

    assert plans() == 0


def test_behind_a_pooler_nothing_is_kept_in_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    account = Account.objects.default()

    read_often(account)

    assert plans() == 0


def settings_now() -> list[tuple[str, str]]:
    names = "'enable_seqscan', 'enable_bitmapscan', 'jit', 'plan_cache_mode', 'synchronous_commit'"
    return fetch_sql(f"SELECT name, setting FROM pg_settings WHERE name IN ({names})", [])


def test_how_a_statement_is_planned_changes_nothing_for_others() -> None:
    before = settings_now()

    fetch_prepared("SELECT 1", [], synced=False)

    assert settings_now() == before


def test_a_transaction_of_others_goes_on_with_its_own_settings_and_plans() -> None:
    account = Account.objects.default()
    before = settings_now()

    with transaction.atomic():
        read_often(account)
        assert settings_now() == before

    assert plans() == 0


def scanned(plan: list[str]) -> list[str]:
    """What the plan reads from its first row to its last: tables, and indexes without a condition
    on their first column.
    """
    found = [line for line in plan if "Seq Scan on" in line]
    for line, following in pairwise([*plan, ""]):
        if index := USES.search(line):
            first = leading_column(index[1])
            if not ("Index Cond" in following and re.search(rf"\W{first}\W", following)):
                found.append(line)
    return [line for line in found if SMALL.search(line) is None]


USES = re.compile(r"Index (?:Only )?Scan using (\w+)")
SMALL = re.compile(r" on workflows_app_(account|flowcontrol)$")
"""Accounts with limits and keys of flow control are few, and all of them are asked for."""


@cache
def leading_column(index: str) -> str:
    ((name,),) = fetch_sql(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [index]
    )
    return str(name)


def kept_plans() -> dict[str, list[str]]:
    """Of this connection, by statement."""
    found = {}
    prepared = "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements"
    for name, statement, count in fetch_sql(prepared, []):
        given = f"({', '.join(['NULL'] * count)})" if count else ""
        with transaction.atomic():
            for setting in BY_INDEX.split(";")[:-1]:
                run_sql(setting, [])
            rows = fetch_sql(f"EXPLAIN (COSTS OFF) EXECUTE {name}{given}", [])
        found[statement] = [line.strip() for (line,) in rows]
    return found


def test_a_kept_plan_finds_rows_by_index_though_it_was_made_while_there_were_few(
    define: Define, world: World
) -> None:
    """On a connection that has seen a run end that has invoked another, a run elsewhere, and a
    request; while PostgreSQL knows that each table has next to no rows.
    """
    account = Account.objects.default()
    token = create_token(account, "plans", Token.Scope.FULL)

    @define("pack", retries=1)
    async def pack(context: Any) -> Any:
        return await context.run("pack", lambda: "packed")

    @define("order", retries=1)
    async def order(context: Any) -> Any:
        return (await context.invoke("pack", workflow=pack, body=None)).body

    step = b'{"stepId":1,"stepName":"pack","stepType":"Run","out":"1","concurrent":1}'

    def work() -> None:
        order.trigger(None)
        triggering.trigger(account, [RunRequest(url="https://app.example/", run_id="elsewhere")])
        world.answers(200, 200)
        drain_here()
        publishing.publish_step(account, StepRequest(run_id="elsewhere", raw=step))
        drain_here()
        run_moves.finish(account, "elsewhere", None)
        find_token(token)

    work()
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for _ in range(2):
        forget()
        work()

    kept = kept_plans()
    assert len(kept) >= 12
    assert {said: found for said, plan in kept.items() if (found := scanned(plan))} == {}


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
