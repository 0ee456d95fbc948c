"""Fixtures that all tests share, and how the suite fits the database it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection

from workflows_app.engine import clock as engine_clock
from workflows_app.engine.accounts import ensure_default_account
from workflows_app.protocol.durations import parse_duration

DERIVED_TABLES = {"django_content_type", "auth_permission"}
DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-database",
        action="store_true",
        help="run only the tests that use the database or start processes",
    )


def pytest_report_header() -> str:
    return f"database: {engine_name()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if engine_name() != "postgresql":
        reason = "needs PostgreSQL: set DATABASE_URL=postgres://user:pw@host:5432/name"
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason=reason))
    if config.getoption("--only-database"):
        others = [item for item in items if not depends_on_database(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if depends_on_database(item)]


def engine_name() -> str:
    return str(settings.DATABASES["default"]["ENGINE"]).rpartition(".")[2]


def depends_on_database(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in ("django_db", "processes", "postgres"))
    return marked or not DATABASE_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give SQLite a file, as in production: in memory, threads would lock whole tables."""
    default = settings.DATABASES["default"]
    if engine_name() == "sqlite3":
        default.setdefault("TEST", {})["NAME"] = (
            tmp_path_factory.mktemp("database") / "test.sqlite3"
        )


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """How the tables are emptied after a test with transactions, which else takes longer than most
    tests. PostgreSQL's are emptied row by row: to truncate makes the files of each anew;
    constraints are deferred, so any order of tables will do. What Django itself derives from the
    models stays, and need not be derived again: of all that follows a migration, the default
    account alone is missing.
    """
    flushed = connection.ops.sql_flush

    def statements(style: Any, tables: list[str], **options: Any) -> list[str]:
        emptied = [table for table in tables if table not in DERIVED_TABLES]
        if engine_name() != "postgresql":
            return flushed(style, emptied, **options)
        named = (connection.ops.quote_name(table) for table in emptied)
        return ["; ".join(f"DELETE FROM {table}" for table in named)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.ops, "sql_flush", statements)
        patch.setattr(flush, "emit_post_migrate_signal", make_default_account)
        yield


def make_default_account(*said: Any) -> None:
    *_, database = said
    ensure_default_account(using=database)


class Clock:
    """The engine's clock, standing still until the test moves it."""

    def __init__(self, start: datetime) -> None:
        self._travel = ExitStack()
        self.stop_at(start)

    @property
    def now(self) -> datetime:
        return engine_clock.now()

    def stop_at(self, moment: datetime) -> None:
        self._travel.close()
        self._travel.enter_context(engine_clock.travel(moment))

    def advance(self, duration: timedelta | str) -> datetime:
        """Move on by a timedelta or a duration such as "3d", and say what time it is then."""
        self.stop_at(self.now + parse_duration(duration))
        return self.now

    def release(self) -> None:
        self._travel.close()


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Time that stands still at noon of 2 January 2030 and moves only by `clock.advance("3d")`."""
    clock = Clock(datetime(2030, 1, 2, 12, tzinfo=UTC))
    try:
        yield clock
    finally:
        clock.release()
