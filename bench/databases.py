"""A storage of its own for every job, gone when the job ends."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bench.catalogue import Storage
from bench.processes import answers, free_port, running, wait_until

#: A PostgreSQL server on which the bench may create and drop databases.
POSTGRES_URL = os.environ.get("BENCH_POSTGRES_URL", "postgres://root@127.0.0.1:5432/postgres")

_numbers = itertools.count(1)


@contextmanager
def prepared(storage: Storage, directory: Path) -> Iterator[str]:
    """Yields the URL of a fresh storage; SQLite and Redis keep their files in `directory`."""
    match storage:
        case Storage.POSTGRES:
            with _postgres_database() as url:
                yield url
        case Storage.REDIS:
            with _redis_server(directory) as url:
                yield url
        case _:
            yield _sqlite_file(storage, directory)


def missing(storage: Storage) -> str | None:
    """Why this storage cannot be had on this machine, or None."""
    if storage is Storage.REDIS and not shutil.which("redis-server"):
        return "redis-server is not installed"
    if storage is Storage.POSTGRES:
        try:
            psycopg.connect(POSTGRES_URL, connect_timeout=3).close()
        except psycopg.OperationalError as error:
            return f"no PostgreSQL (set BENCH_POSTGRES_URL): {str(error).splitlines()[0]}"
    return None


def synchronous(storage: Storage) -> str:
    """SQLite's `synchronous` for this storage. It belongs to each connection, not to the file."""
    return "NORMAL" if storage is Storage.SQLITE_NORMAL else "FULL"


def django_database(url: str) -> dict[str, Any]:
    """A database for Django's settings; SQLite as Django's documentation advises for busy sites."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        options = {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 30}
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path[1:],
            "OPTIONS": options,
            "CONN_MAX_AGE": None,
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
    }


def _sqlite_file(storage: Storage, directory: Path) -> str:
    path = directory / "bench.sqlite3"
    mode = "DELETE" if storage is Storage.SQLITE_ROLLBACK else "WAL"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
    return f"sqlite:///{path}"


@contextmanager
def _postgres_database() -> Iterator[str]:
    name = f"bench_{os.getpid()}_{next(_numbers)}"
    _on_the_server(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlunsplit(urlsplit(POSTGRES_URL)._replace(path=f"/{name}"))
    finally:
        _on_the_server(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _on_the_server(statement: sql.Composed) -> None:
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def _redis_server(directory: Path) -> Iterator[str]:
    port = free_port()
    options = {"--port": str(port), "--dir": str(directory), "--logfile": "redis.log"}
    durability = {"--save": "", "--appendonly": "no"}
    with running("redis-server", *itertools.chain(*(options | durability).items())):
        wait_until(lambda: answers(f"127.0.0.1:{port}"), seconds=5)
        yield f"redis://127.0.0.1:{port}/0"
