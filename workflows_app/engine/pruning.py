"""Forgetting what ended long ago, by the workers: a message that is owed always again."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import Error

from workflows_app.conf import get_settings
from workflows_app.engine import clock, retention
from workflows_app.engine.database import drop_broken_connections
from workflows_app.engine.leases import Lease
from workflows_app.engine.settling import retry
from workflows_app.models import Message
from workflows_app.models.access import DEFAULT_ACCOUNT_ID

logger = logging.getLogger("workflows_app")

PAUSE = timedelta(minutes=1)
"""Between looks; that long may a run be there whose retention is over."""


def owe() -> None:
    """From now on, if it is not owed yet. While the database is away this is left to others."""
    now = clock.now()
    try:
        Message.objects.get_or_create(
            kind=Message.Kind.PRUNING,
            defaults={"account_id": DEFAULT_ACCOUNT_ID, "due_at": now, "created_at": now},
        )
    except Error:
        logger.exception("what ended long ago is not forgotten by this process")
        drop_broken_connections()


def settle(lease: Lease) -> None:
    """Forget some, and owe the others at once. Raises LeaseLost."""
    pruned = retention.prune_some(get_settings().RETENTION)
    retry(lease, clock.now() + (timedelta() if pruned else PAUSE))
