"""Databases for sites that the tests start: of the kind that the suite runs on, one for each."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from tests.conftest import engine_name
from tests.faults.databases import (
    Database,
    SqliteFile,
    postgres_copy,
    postgres_server,
    sqlite_copy,
)
from tests.management.programs import ROOT

SETTINGS = "tests.management.app.settings"

_numbers = count(1)


@contextmanager
def empty_database(directory: Path) -> Iterator[Database]:
    if engine_name() == "postgresql":
        with postgres_copy(postgres_server(), _name(), "template1") as database:
            yield database
    else:
        yield SqliteFile(directory / "site.sqlite3")


@contextmanager
def copy_of(migrated: Database, directory: Path) -> Iterator[Database]:
    if isinstance(migrated, SqliteFile):
        with sqlite_copy(migrated.path, directory) as database:
            yield database
    else:
        template = migrated.url.rpartition("/")[2]
        with postgres_copy(postgres_server(), _name(), template) as database:
            yield database


def migrate(database: Database) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database.url, "DJANGO_SETTINGS_MODULE": SETTINGS},
        check=True,
        timeout=60,
    )
    if isinstance(database, SqliteFile):
        with closing(sqlite3.connect(database.path)) as connection:
            # Into the one file that is copied.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _name() -> str:
    return f"site_{os.getpid()}_{next(_numbers)}"
