"""DATABASE_URL becomes Django's DATABASES."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.databases import read_database_url

ROOT = Path("/srv/site")


def test_an_absolute_sqlite_path_has_four_slashes():
    assert read_database_url("sqlite:////var/data/my%20db.sqlite3", root=ROOT)["NAME"] == Path(
        "/var/data/my db.sqlite3"
    )


def test_a_relative_sqlite_path_starts_at_the_root():
    assert read_database_url("sqlite:///db.sqlite3", root=ROOT)["NAME"] == ROOT / "db.sqlite3"


def test_sqlite_is_durable_unless_told_otherwise():
    options = read_database_url("sqlite:///db.sqlite3", root=ROOT)["OPTIONS"]

    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["init_command"].startswith("PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;")


def test_sqlite_can_be_told_to_be_faster_than_durable():
    options = read_database_url("sqlite:///x", root=ROOT, synchronous="NORMAL")["OPTIONS"]

    assert "PRAGMA synchronous=NORMAL;" in options["init_command"]


def test_a_server_is_read_with_its_escapes_and_options():
    database = read_database_url(
        "postgres://ada:p%40ss@db.example:5433/work?sslmode=require", root=ROOT, connection_age=0
    )

    assert database == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "work",
        "USER": "ada",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
    }


def test_mysql_reads_committed_rows():
    database = read_database_url("mysql://ada@db.example/work", root=ROOT)

    assert database["ENGINE"] == "django.db.backends.mysql"
    assert database["OPTIONS"] == {"charset": "utf8mb4", "isolation_level": "read committed"}


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "must look like sqlite:////absolute/path"),
        ("oracle://host/name", "its scheme is 'oracle'"),
        ("sqlite://:memory:", "a file that all processes share"),
        ("sqlite:///", "a file that all processes share"),
        ("postgres://db.example", "names no database"),
        ("postgres://db.example:many/name", "the port must be a number"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_write(url: str, advice: str):
    with pytest.raises(ImproperlyConfigured, match=advice):
        read_database_url(url, root=ROOT)


def test_a_refusal_does_not_repeat_the_password():
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_database_url("postgres://ada:secret@db.example:many/name", root=ROOT)

    assert "secret" not in str(refusal.value)


def test_an_unknown_synchronous_mode_is_refused():
    with pytest.raises(ImproperlyConfigured, match="FULL or NORMAL"):
        read_database_url("sqlite:///x", root=ROOT, synchronous="OFF")
