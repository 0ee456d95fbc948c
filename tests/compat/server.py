"""The server under test: `manage.py workflows dev` on a database of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from tests.faults.databases import ROOT, Database, SqliteFile, postgres_copy, postgres_server
from tests.management.programs import Command

MAIN = "default"
TENANTS = (
    *("books", "games", "games:read-only", "lists", "queues", "mail"),
    *("python", "python:read-only", "async", "javascript"),
)
"""Accounts of tests that count or cancel everything in theirs."""

_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An account, as its clients and its endpoints know it."""

    name: str
    account_id: str
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
        name = f"compat_{os.getpid()}_{next(_numbers)}"
        with postgres_copy(postgres_server(), name, "template1") as database:
            yield database


def importing(app: str, directory: Path) -> dict[str, str]:
    """The changes by which a server has this app, which is in a directory and may be rewritten."""
    return {"APPS": app, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def running(database: Database, directory: Path, **changes: str) -> Iterator[Server]:
    """With these changes of its environment."""
    environment = {
        "DATABASE_URL": database.url,
        "DJANGO_SETTINGS_MODULE": "tests.compat.settings",
        "DEBUG": "1",
        # A PostgreSQL server has a hundred connections to give, and other tests may run beside:
        # the clients' idle HTTP connections are not to hold any.
        "WORKFLOWS_THREADS": "6",
        "CONN_MAX_AGE": "0",
        # The usual back-off begins with twelve seconds.
        "WORKFLOWS_RETRY_DELAY": "100",
        **changes,
    }
    log = directory / "server.log"
    command = Command(log, "dev", "--port", "0", **environment)
    try:
        command.wait_for_line("ready", 60)
        told = dict(line.partition("=")[::2] for line in command.lines() if "=" in line)
        main = Tenant(
            name=MAIN,
            account_id=told["CLOUDFLARE_ACCOUNT_ID"],
            token=told["QSTASH_TOKEN"],
            current_key=told["QSTASH_CURRENT_SIGNING_KEY"],
            next_key=told["QSTASH_NEXT_SIGNING_KEY"],
        )
        others = _create_tenants(environment)
        nobody = replace(main, name="nobody", token="a token that was never made")
        tenants = {MAIN: main, "nobody": nobody, **others}
        yield Server(url=told["QSTASH_URL"], tenants=tenants, log=log)
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
            account_id=made["accountId"],
            token=made["token"],
            current_key=made["currentKey"],
            next_key=made["nextKey"],
        )
        for name, made in json.loads(printed).items()
    }
