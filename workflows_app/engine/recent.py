"""Answers of the database that may be a second old: for the few rows that every request and every
delivery reads, and that people change now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models.signals import post_delete, post_save

from workflows_app.engine import clock
from workflows_app.engine.database import connection, fetch_prepared
from workflows_app.models import Account, Token

LIFETIME = timedelta(seconds=1)
"""Another process hears that late that a token is revoked, or a key changed."""
_MOST = 1000
"""Answers that a process keeps."""

_Rows = list[tuple[Any, ...]]

_known: dict[tuple[str, tuple[Any, ...]], tuple[datetime, _Rows]] = {}


def fetch_recent(sql: str, params: Sequence[Any]) -> _Rows:
    """As `fetch_prepared` does, at most once in `LIFETIME`. That there is nothing is not kept, nor
    is anything that a transaction sees.
    """
    if connection().in_atomic_block:
        return fetch_prepared(sql, params)
    asked = sql, tuple(params)
    now = clock.now()
    since, rows = _known.get(asked, (now, []))
    if rows and since <= now < since + LIFETIME:
        return rows
    rows = fetch_prepared(sql, params)
    if rows:
        _keep(asked, now, rows)
    return rows


def _keep(asked: tuple[str, tuple[Any, ...]], since: datetime, rows: _Rows) -> None:
    if len(_known) >= _MOST:
        _known.clear()
    _known[asked] = since, rows


def forget(**_: object) -> None:
    """This process asks anew."""
    _known.clear()


for _signal in (post_save, post_delete):
    for _model in (Account, Token):
        _signal.connect(forget, sender=_model, dispatch_uid=f"{__name__}.{_model.__name__}")
