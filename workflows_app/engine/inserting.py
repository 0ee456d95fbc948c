"""Inserting many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Model

from workflows_app.engine.database import connection, fetch_sql, is_postgresql


def insert_many(rows: Sequence[Model]) -> None:
    """As `bulk_create` does, in a fraction of the time on PostgreSQL: what the rows, which are of
    one model, have in common is sent once.
    """
    if rows and is_postgresql():
        _insert_many_postgresql(rows)
    elif rows:
        type(rows[0])._default_manager.bulk_create(rows)


def _insert_many_postgresql(rows: Sequence[Model]) -> None:
    wrapper, model = connection(), type(rows[0])
    names, places, common = list[str](), list[str](), list[Any]()
    given, arrays = ["place"], ["%s::integer[]"]
    apart: list[list[Any]] = [list(range(len(rows)))]
    for field in model._meta.concrete_fields:
        if field.primary_key:
            continue
        values = [field.pre_save(row, add=True) for row in rows]
        names.append(str(field.column))
        if all(value == values[0] for value in values):
            places.append(f"%s::{field.db_type(wrapper)}")
            common.append(field.get_db_prep_save(values[0], connection=wrapper))
        else:
            places.append(f"given.{field.column}")
            given.append(str(field.column))
            arrays.append(f"%s::{field.db_type(wrapper)}[]")
            apart.append([field.get_db_prep_save(value, connection=wrapper) for value in values])
    sql = (
        f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) SELECT {', '.join(places)} "  # noqa: S608 - of constants
        f"FROM unnest({', '.join(arrays)}) AS given ({', '.join(given)}) ORDER BY place "
        "RETURNING id"
    )
    for row, (pk,) in zip(rows, fetch_sql(sql, [*common, *apart]), strict=True):
        row.pk = pk
        row._state.adding, row._state.db = False, wrapper.alias
