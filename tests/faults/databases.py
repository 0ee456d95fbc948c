"""Databases of the fault tests' own, and ways to take them away for a while."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.__main__ import USUAL_URLS, why_unreachable
from tests.leaving_out import leave_out

ROOT = Path(__file__).resolve().parents[2]

_OTHER_SESSIONS = "datname = current_database() AND pid <> pg_backend_pid()"


class Database(ABC):
    """A migrated database, named by its DATABASE_URL."""

    url: str

    @abstractmethod
    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """On a connection of its own."""


class SqliteFile(Database):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can write while the block lasts."""
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")


class PostgresDatabase(Database):
    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(_libpq(self.url), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> int:
        """How many others are connected to this database."""
        ((count,),) = self.query(f"SELECT count(*) FROM pg_stat_activity WHERE {_OTHER_SESSIONS}")
        return int(count)

    def end_sessions(self) -> None:
        """Have the server end every other session of this database."""
        self.query(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OTHER_SESSIONS}"
        )


class Line:
    """A TCP line to a database server, which can be cut and mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = self._listen(0)
        self._port = self._listener.getsockname()[1]
        user = f"{parts.username}@" if parts.username else ""
        self.url = urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self._port}"))

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            pair = (client, socket.create_connection(self._server))
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._carry, args=[pair], daemon=True).start()

    def _carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                for end in select.select(pair, [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    pair[1 if end is pair[0] else 0].sendall(data)
        self._hang_up(pair)

    def _hang_up(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._hang_up(pair)

    def mend(self) -> None:
        self._listener = self._listen(self._port)


def migrate(url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    settings = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.faults.app.settings"}
    subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True, timeout=60)


@contextmanager
def sqlite_template(directory: Path) -> Iterator[Path]:
    path = directory / "template.sqlite3"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield path


@contextmanager
def sqlite_copy(template: Path, directory: Path) -> Iterator[SqliteFile]:
    yield SqliteFile(Path(shutil.copy(template, directory / "faults.sqlite3")))


def postgres_server() -> str:
    """The URL of a server where databases may be made; else the test is skipped, or fails in CI."""
    wanted = os.environ.get("WORKFLOWS_TEST_POSTGRES")
    refusals = []
    for url in (wanted,) if wanted else USUAL_URLS:
        refusal = why_unreachable(url)
        if refusal is None:
            return url
        refusals.append(refusal)
    return leave_out(f"no PostgreSQL could be reached: {'; '.join(refusals)}")


@contextmanager
def postgres_copy(server: str, name: str, template: str) -> Iterator[PostgresDatabase]:
    """A database on the server, dropped in the end whoever is connected to it."""
    maintenance = PostgresDatabase(server)
    maintenance.query(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield PostgresDatabase(urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
    finally:
        maintenance.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _libpq(url: str) -> str:
    return url.replace("postgres://", "postgresql://", 1)
