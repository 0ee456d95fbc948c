"""How the threads of a process write on SQLite, beside others."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.db import OperationalError, connection

from workflows_app.engine.database import SqliteWriter, is_sqlite
from workflows_app.models import Account

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 10


@pytest.fixture(autouse=True)
def only_sqlite() -> None:
    if not is_sqlite():
        pytest.skip("needs SQLite, which alone has one writer at a time")


@pytest.fixture
def writer() -> Iterator[SqliteWriter]:
    writer = SqliteWriter()
    yield writer
    writer.close()


@pytest.fixture
def elsewhere() -> Iterator[sqlite3.Connection]:
    """What another process would write on."""
    path = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


def rename(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE workflows_app_account SET name = 'renamed'")


def test_who_finds_the_database_locked_writes_once_it_is_free(
    writer: SqliteWriter, elsewhere: sqlite3.Connection
) -> None:
    elsewhere.execute("BEGIN IMMEDIATE")
    written = threading.Event()

    def write() -> None:
        writer.write(rename, None)
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not written.wait(0.05)
    elsewhere.execute("COMMIT")

    thread.join(PATIENCE)
    assert written.is_set()
    assert Account.objects.default().name == "renamed"


def test_who_finds_the_database_locked_for_longer_than_its_timeout_is_told(
    monkeypatch: pytest.MonkeyPatch, elsewhere: sqlite3.Connection, writer: SqliteWriter
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
    elsewhere.execute("BEGIN IMMEDIATE")

    with pytest.raises(OperationalError, match="database is locked"):
        writer.write(rename, None)

    elsewhere.execute("COMMIT")
    writer.write(rename, None)
    assert Account.objects.default().name == "renamed"
