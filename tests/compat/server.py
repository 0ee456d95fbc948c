"""The server under test: `manage.py workflows dev` on a database of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.databases import ROOT, Database, SqliteFile, postgres_copy, postgres_server
from tests.management.programs import Command

MAIN = "default"
TENANTS = ("books", "games", "games:read-only", "lists", "queues", "mail")
"""Accounts of tests that count or cancel everything in theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An account, as its clients and its endpoints know it."""

    name: str
    token: str
    current_key: str
    next_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str
    tenants: dict[str, Tenant]
    log: Path

    @property
    def main(self) -> Tenant:
        return self.tenants[MAIN]


@contextmanager
def own_database(kind: str, directory: Path) -> Iterator[Database]:
    if kind == "sqlite":
        yield SqliteFile(directory / "compat.sqlite3")
    else:
        with postgres_copy(postgres_server(), f"compat_{os.getpid()}", "template1") as database:
            yield database


@contextmanager
def running(database: Database, directory: Path) -> Iterator[Server]:
    environment = {
        "DATABASE_URL": database.url,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DEBUG": "1",
        # A PostgreSQL server has a hundred connections to give, and other tests may run beside:
        # the clients' idle HTTP connections are not to hold any.
        "WORKFLOWS_THREADS": "6",
        "CONN_MAX_AGE": "0",
        # The usual back-off begins with twelve seconds.
        "WORKFLOWS_RETRY_DELAY": "100",
    }
    log = directory / "server.log"
    command = Command(log, "dev", "--port", "0", **environment)
    try:
        command.wait_for_line("ready", 60)
        told = dict(line.partition("=")[::2] for line in command.lines() if "=" in line)
        main = Tenant(
            name=MAIN,
            token=told["QSTASH_TOKEN"],
            current_key=told["QSTASH_CURRENT_SIGNING_KEY"],
            next_key=told["QSTASH_NEXT_SIGNING_KEY"],
        )
        others = _create_tenants(environment)
        yield Server(url=told["QSTASH_URL"], tenants={MAIN: main, **others}, log=log)
    finally:
        command.end()


def _create_tenants(environment: dict[str, str]) -> dict[str, Tenant]:
    printed = subprocess.run(
        [sys.executable, "-m", "tests.compat.tenants", *TENANTS],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout
    return {
        name: Tenant(
            name=name,
            token=made["token"],
            current_key=made["currentKey"],
            next_key=made["nextKey"],
        )
        for name, made in json.loads(printed).items()
    }
