"""A site of its own for the browser: `manage.py workflows dev`, with its database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.app.flags import FLAGS
from tests.faults.databases import Database
from tests.management.databases import empty_database
from tests.management.programs import Command, wait_until
from workflows_app.client import Client

PATIENCE = 60.0
"""Seconds in which something has to happen, on a machine that is busy with other things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    url: str
    client: Client
    database: Database
    flags: Path

    def raise_flag(self, name: str) -> None:
        (self.flags / name).touch()

    def trigger(self, workflow: str, body: Any = None, **options: Any) -> str:
        return self.client.trigger(workflow, body, **options).workflow_run_id

    def key_of(self, run_id: str) -> int:
        """What its page's address says."""
        ((key,),) = self.database.query(
            f"SELECT max(id) FROM workflows_app_run WHERE run_id = '{run_id}'"
        )
        return int(key)

    def page_of(self, run_id: str) -> str:
        return f"/admin/workflows_app/run/{self.key_of(run_id)}/change/"

    def count(self, table: str, condition: str = "1 = 1") -> int:
        sql = f"SELECT count(*) FROM workflows_app_{table} WHERE {condition}"
        return int(self.database.query(sql)[0][0])

    def wait_for(self, count: int, table: str, condition: str) -> None:
        """Until so many rows of the table meet the condition."""
        wait_until(
            lambda: self.count(table, condition) == count, PATIENCE, f"{count} {table}: {condition}"
        )

    def wait_for_step(self, run_id: str, name: str) -> int:
        """Until it is recorded. Its key."""
        run = f"(SELECT max(id) FROM workflows_app_run WHERE run_id = '{run_id}')"
        sql = f"SELECT id FROM workflows_app_step WHERE run_id = {run} AND name = '{name}'"
        wait_until(lambda: self.database.query(sql), PATIENCE, f"step {name} of {run_id}")
        return int(self.database.query(sql)[0][0])


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    flags = directory / "flags"
    flags.mkdir()
    with empty_database(directory) as database:
        environment = {
            "DATABASE_URL": database.url,
            "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
            "DEBUG": "1",
            "WORKFLOWS_THREADS": "4",
            "CONN_MAX_AGE": "0",
            FLAGS: str(flags),
        }
        command = Command(directory / "site.log", "dev", "--port", "0", **environment)
        try:
            command.wait_for_line("ready", PATIENCE)
            told = dict(line.partition("=")[::2] for line in command.lines() if "=" in line)
            with Client(told["QSTASH_URL"], told["QSTASH_TOKEN"]) as client:
                yield _site(told, client, database, flags)
        finally:
            command.end()


def _site(told: Mapping[str, str], client: Client, database: Database, flags: Path) -> Site:
    return Site(url=told["QSTASH_URL"], client=client, database=database, flags=flags)
