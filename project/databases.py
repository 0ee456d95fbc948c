"""DATABASE_URL, as Django's DATABASES wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

ENGINES = {
    "sqlite": "django.db.backends.sqlite3",
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
}
SYNCHRONOUS = ("FULL", "NORMAL")


def read_database_url(
    url: str, *, root: Path, synchronous: str = "FULL", connection_age: int | None = None
) -> dict[str, Any]:
    """The entry of DATABASES for `sqlite:////path`, `postgres://user:pw@host:port/db` or `mysql://...`.

    A relative SQLite path is taken from `root`. A query such as `?sslmode=require` becomes OPTIONS
    of the driver. `synchronous` applies to SQLite: FULL survives a power cut, NORMAL may lose the
    last commits in one. `connection_age` is how many seconds a connection is kept between requests;
    None keeps it open.
    """
    parts = urlsplit(url)
    if parts.scheme not in ENGINES:
        raise ImproperlyConfigured(
            "DATABASE_URL must look like sqlite:////absolute/path, postgres://user:pw@host:5432/name"
            f" or mysql://user:pw@host:3306/name; its scheme is {parts.scheme!r}."
        )
    database = _sqlite(parts, root, synchronous) if parts.scheme == "sqlite" else _server(parts)
    return {**database, "CONN_MAX_AGE": connection_age, "CONN_HEALTH_CHECKS": True}


def _sqlite(parts: SplitResult, root: Path, synchronous: str) -> dict[str, Any]:
    name = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not name:
        raise ImproperlyConfigured(
            "DATABASE_URL: SQLite needs a file that all processes share, as in sqlite:////absolute/path."
        )
    if synchronous not in SYNCHRONOUS:
        raise ImproperlyConfigured(
            f"SQLITE_SYNCHRONOUS is {synchronous!r}; it can be FULL or NORMAL."
        )
    return {
        "ENGINE": ENGINES["sqlite"],
        "NAME": root / name,
        "OPTIONS": {
            # A transaction takes the write lock at its start, where SQLite waits for it; taken
            # later, SQLite would refuse at once with "database is locked".
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": (
                "PRAGMA journal_mode=WAL;"
                f"PRAGMA synchronous={synchronous};"
                "PRAGMA temp_store=MEMORY;"
                "PRAGMA cache_size=-16000;"  # KiB
                "PRAGMA mmap_size=134217728;"
                "PRAGMA journal_size_limit=67108864"
            ),
        },
    }


def _server(parts: SplitResult) -> dict[str, Any]:
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise ImproperlyConfigured(
            "DATABASE_URL names no database; write it after the host, as in host:5432/name."
        )
    try:
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL: the port must be a number up to 65535.") from None
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.scheme == "mysql":
        # MySQL's own default, repeatable read, would lock gaps between due messages.
        options = {"charset": "utf8mb4", "isolation_level": "read committed", **options}
    return {
        "ENGINE": ENGINES[parts.scheme],
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(port or ""),
        "OPTIONS": options,
    }
