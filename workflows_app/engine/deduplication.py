"""What is published again within a window is the message that was published first (Upstash
reference 5.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.models import Account, Deduplication
from workflows_app.protocol.codec import encode_json


def digest(*parts: object) -> str:
    return sha256(encode_json(parts).encode()).hexdigest()


def lock(account: Account, keys: Iterable[str]) -> None:
    """Comes before publishing several messages with such digests in one transaction: all who do so
    lock them in the same order, lest they wait for each other.
    """
    ordered = sorted(set(keys))
    if not ordered:
        return
    over = clock.now() - get_settings().DEDUPLICATION_WINDOW
    free = [Deduplication(account=account, digest=key, ends_at=over) for key in ordered]
    Deduplication.objects.bulk_create(free, ignore_conflicts=True)
    rows = Deduplication.objects.filter(account=account, digest__in=ordered)
    list(rows.order_by("digest").select_for_update())


def first_message(account: Account, key: str, message_id: str) -> str:
    """The id of the message that the digest stands for: this one, unless another was first.

    In a transaction; the unique digest decides between those that race.
    """
    now = clock.now()
    ends_at = now + get_settings().DEDUPLICATION_WINDOW
    claim = Deduplication(account=account, digest=key, message_id=message_id, ends_at=ends_at)
    while True:
        Deduplication.objects.bulk_create([claim], ignore_conflicts=True)
        rows = Deduplication.objects.filter(account=account, digest=key)
        if rows.filter(ends_at__lte=now).update(message_id=message_id, ends_at=ends_at):
            return message_id
        first = rows.values_list("message_id", flat=True).first()
        if first is not None:
            return first
        # It was forgotten between the two statements.
