"""Rows multiplied by SQL: what years would leave, in seconds."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection
from django.db.models import Model


def multiply(
    model: type[Model], times: int, changes: Mapping[str, str], *, where: str = "1 = 1"
) -> None:
    """Add `times` copies of the rows that fit. `changes` has expressions in place of columns, in
    which `copy.n` is the number of the copy; a column changed to nothing is left to the database.
    """
    names = [field.column for field in model._meta.concrete_fields if field.column]
    columns = {name: changes.get(name, name) for name in names}
    kept = {column: value for column, value in columns.items() if value}
    table = model._meta.db_table
    numbers = f"SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {times}"
    into, values = ", ".join(kept), ", ".join(kept.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE copy(n) AS ({numbers}) "
            f"INSERT INTO {table} ({into}) SELECT {values} FROM {table}, copy WHERE {where}"
        )


def settle() -> None:
    """What autovacuum or a checkpoint would do a little later."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("ANALYZE")
