"""Answers of the database that may be a second old: for the few rows that every request, every
delivery and every trigger reads, and that people change now and then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models.signals import post_delete, post_save

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import connection
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.models import Account, Definition, Token, Version

LIFETIME = timedelta(seconds=1)
"""Another process hears that late that a token is revoked, or a key changed."""
_MOST = 1000
"""Answers that a process keeps."""

_Rows = list[tuple[Any, ...]]

T = TypeVar("T")

_known: dict[Hashable, tuple[datetime, Any]] = {}


class _News:
    heard = 0
    """How often this process was told to ask anew; meanwhile something old may have been read."""


class _Changes(threading.local):
    within: object = None
    """The transaction in which this thread has last changed such rows: it may yet roll back."""


_changes = _Changes()


def fetch_recent(sql: str, params: Sequence[Any]) -> _Rows:
    """As `fetch_prepared` does, at most once in `LIFETIME`. That there is nothing is not kept, nor
    is anything that a transaction sees.
    """
    if connection().in_atomic_block:
        return fetch_prepared(sql, params)
    asked = sql, tuple(params)
    now = clock.now()
    rows: _Rows | None = _find(asked, now)
    if rows is None:
        rows = fetch_prepared(sql, params)
        if rows:
            _keep(asked, now, rows)
    return rows


def recently(asked: Hashable, read: Callable[[], T | None]) -> T | None:
    """What `read` returns, at most once in `LIFETIME`; inside of transactions as well, but what one
    that has changed such rows sees is not kept. Nor is None.
    """
    now = clock.now()
    found: T | None = _find(asked, now)
    if found is None:
        heard = _News.heard
        found = read()
        if found is not None and is_committed() and heard == _News.heard:
            _keep(asked, now, found)
    return found


def is_committed() -> bool:
    """Whether the rows that this thread reads now are there for good."""
    blocks = connection().atomic_blocks
    return not blocks or blocks[0] is not _changes.within


def _find(asked: Hashable, now: datetime) -> Any:
    since, found = _known.get(asked, (now, None))
    return found if since <= now < since + LIFETIME else None


def _keep(asked: Hashable, since: datetime, found: object) -> None:
    if len(_known) >= _MOST:
        _known.clear()
    _known[asked] = since, found


def forget(**_: object) -> None:
    """This process asks anew: now, and once what this thread has changed is there for good."""
    _forget()
    blocks = connection().atomic_blocks
    if blocks:
        _changes.within = blocks[0]
        # A function that is decorated with `atomic` has the same block each time.
        transaction.on_commit(_forget, using=get_settings().DATABASE)


def _forget() -> None:
    _News.heard += 1
    _known.clear()
    _changes.within = None


for _signal in (post_save, post_delete):
    for _model in (Account, Token, Definition, Version):
        _signal.connect(forget, sender=_model, dispatch_uid=f"{__name__}.{_model.__name__}")
