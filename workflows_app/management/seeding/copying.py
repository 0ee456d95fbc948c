"""Rows copied by the database itself: a million in a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import DateTimeField, ForeignKey, Model

from workflows_app.engine.database import connection
from workflows_app.models import Run

ROWS_AT_ONCE = 500_000
"""Copied by one statement, so that none holds its locks for long and each can be told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Originals:
    """Runs with consecutive primary keys; a copy has theirs plus a multiple of their number."""

    first: int
    count: int
    apart: timedelta
    """How much later each copy of them all is than the one before."""


def reserve(count: int) -> int:
    """The first of so many primary keys of runs that nobody else will be given."""
    newest = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    wrapper = connection()
    if wrapper.vendor == "postgresql":
        with wrapper.cursor() as cursor:
            sequence = f"pg_get_serial_sequence('{Run._meta.db_table}', 'id')"
            cursor.execute(f"SELECT setval({sequence}, %s)", [newest + count])
    return newest + 1


def copy(
    model: type[Model],
    originals: Originals,
    copies: range,
    *,
    own: Mapping[str, str] | None = None,
) -> None:
    """Copy the rows of `model` that belong to the originals, once for each number. `own` has SQL
    for columns that differ; in it, `copy.n` is the number of the copy.
    """
    table, values = model._meta.db_table, dict[str, str]()
    for field in model._meta.concrete_fields:
        column = str(field.column)
        if isinstance(field, ForeignKey) and field.related_model is Run and column != "origin_id":
            values[column] = f"{column} + copy.n * {originals.count}"
        elif isinstance(field, DateTimeField):
            values[column] = _later(column, originals.apart)
        elif model is Run and field.primary_key:
            values[column] = f"{column} + copy.n * {originals.count}"
        elif not field.primary_key:
            values[column] = column
    values |= own or {}
    last = originals.first + originals.count - 1
    runs = [column for column, sql in values.items() if sql.startswith(f"{column} + copy.n")]
    chosen = " AND ".join(f"{column} BETWEEN {originals.first} AND {last}" for column in runs)
    numbers = (
        f"VALUES ({copies.start}) UNION ALL SELECT n + 1 FROM copy WHERE n < {copies.stop - 1}"  # noqa: S608 - of numbers
    )
    with connection().cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) "  # noqa: S608 - of constants
            f"WITH RECURSIVE copy(n) AS ({numbers}) SELECT {', '.join(values.values())} "
            f"FROM {table} CROSS JOIN copy WHERE {chosen} ORDER BY copy.n, {table}.id"
        )


def _later(column: str, apart: timedelta) -> str:
    seconds = f"copy.n * {apart.total_seconds():.3f}"
    match connection().vendor:
        case "sqlite":
            return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '+' || ({seconds}) || ' seconds')"
        case "postgresql":
            return f"{column} + ({seconds}) * interval '1 second'"
        case _:
            return f"{column} + interval ({seconds}) second"
