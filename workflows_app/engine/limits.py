"""What flow control lets start: which keys have room now, and when others will.

A slot is a live lease, so it comes back with its lease. Keys with room take turns, whatever waits
for each; within a key, what has been due longest starts first.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Coalesce

from workflows_app.engine.database import is_postgresql
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.models import Account, FlowControl, Message

CAPPED = "SELECT id FROM workflows_app_account WHERE parallelism IS NOT NULL"

_ANY_LIMITS = f"""
    SELECT 1 WHERE EXISTS (SELECT 1 FROM workflows_app_flowcontrol) OR EXISTS ({CAPPED})
"""  # noqa: S608 - of a constant

_turns = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where messages wait that limits may hold up."""

    account_id: int | None = None
    """Whose cap counts; None for an account that has none."""
    key_id: int | None = None
    """None: what has no key, of an account with a cap."""

    @property
    def condition(self) -> str:
        """In SQL, of the messages that wait here."""
        if self.key_id is not None:
            return f"flow_control_id = {self.key_id}"
        return f"flow_control_id IS NULL AND account_id = {self.account_id}"


def any_limits() -> bool:
    return bool(fetch_prepared(_ANY_LIMITS, []))


# -- where there is room


class _Turns:
    """Which key was served last by this process; the next one begins after it."""

    last_key = 0


def places(now: datetime, most: int) -> list[Place]:
    """Some of the places where something is due and may start, in the order of their turns."""
    free = _free_of_accounts(now)
    full = [pk for pk, left in free.items() if not left]
    due = Message.objects.due(now).filter(flow_control=None, account=OuterRef("pk"))
    unkeyed = [
        Place(account_id=pk)
        for pk in Account.objects.filter(Exists(due), pk__in=free.keys() - full).values_list(
            "pk", flat=True
        )
    ]
    keys = [
        Place(account_id=account_id if account_id in free else None, key_id=pk)
        for pk, account_id in _keys_in_turn(_with_room(now).exclude(account__in=full), most)
    ]
    return unkeyed + keys if next(_turns) % 2 else keys + unkeyed


def _keys_in_turn(keys: QuerySet[FlowControl], most: int) -> list[tuple[int, int]]:
    last = _Turns.last_key
    after = keys.filter(pk__gt=last).order_by("pk").values_list("pk", "account_id")
    before = keys.filter(pk__lte=last).order_by("pk").values_list("pk", "account_id")
    found = list(after[:most])
    return found if len(found) == most else found + list(before[: most - len(found)])


def _free_of_accounts(now: datetime) -> dict[int, int]:
    """The free slots of each account that has a cap."""
    capped = dict(
        Account.objects.filter(parallelism__isnull=False).values_list("pk", "parallelism")
    )
    if not capped:
        return {}
    leased = Message.objects.leased(now).filter(account__in=capped).values("account")
    taken = dict(leased.annotate(taken=Count("pk")).values_list("account", "taken"))
    return {pk: max(0, (most or 0) - taken.get(pk, 0)) for pk, most in capped.items()}


def _with_room(now: datetime) -> QuerySet[FlowControl]:
    due = Message.objects.due(now).filter(flow_control=OuterRef("pk"))
    return FlowControl.objects.filter(_has_slot(now), _has_rate(now), Exists(due), paused=False)


def _has_slot(now: datetime) -> Q:
    return Q(parallelism=None) | Q(parallelism__gt=_in_flight(now))


def _has_rate(now: datetime) -> Q:
    new_period = Q(window_started_at=None) | Q(window_started_at__lte=now - F("period"))
    return Q(rate=None) | Q(rate__gt=F("window_count")) | new_period


def _in_flight(now: datetime) -> Coalesce:
    leased = Message.objects.leased(now).filter(
        account=OuterRef("account"), flow_control=OuterRef("pk")
    )
    counted = leased.order_by().values("flow_control").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0, output_field=IntegerField())


# -- taking it


def lock_free(place: Place, now: datetime, most: int) -> tuple[int, FlowControl | None]:
    """How many may start here, up to `most`, and the key: none while another worker looks.

    The rows stay locked, so that counting slots and taking them is one act; rows that refer to
    them can be added meanwhile.
    """
    control: FlowControl | None = None
    free = most
    if place.account_id is not None:
        free = min(free, _lock_account(place.account_id, now))
    if place.key_id is not None and free:
        locked = FlowControl.objects.select_for_update(
            skip_locked=is_postgresql(), no_key=is_postgresql()
        )
        control = locked.filter(pk=place.key_id).first()
        free = 0 if control is None else min(free, *_free_starts(control, now))
    return free, control


def _lock_account(account_id: int, now: datetime) -> int:
    locked = Account.objects.select_for_update(skip_locked=is_postgresql(), no_key=is_postgresql())
    account = locked.filter(pk=account_id).first()
    if account is None:
        return 0
    if account.parallelism is None:
        return sys.maxsize
    taken = Message.objects.leased(now).filter(account=account).count()
    return max(0, account.parallelism - taken)


def _free_starts(control: FlowControl, now: datetime) -> Iterator[int]:
    if control.paused:
        yield 0
    if control.parallelism is not None:
        yield max(0, control.parallelism - in_flight(control, now))
    starts = control.starts_left(now)
    if starts is not None:
        yield starts


def in_flight(control: FlowControl, now: datetime) -> int:
    leased: QuerySet[Message] = control.messages.leased(now).filter(account=control.account_id)
    return leased.count()


def started(place: Place, control: FlowControl | None, count: int, now: datetime) -> None:
    """Count starts towards the rate, in the transaction that made them."""
    if place.key_id is not None:
        _Turns.last_key = place.key_id
    if control is not None and control.rate is not None:
        control.count_starts(count, now)


# -- when there will be room


def next_due_of_keys(now: datetime) -> datetime | None:
    """When something that waits for a key can start; not what is paused, nor of full accounts."""
    waiting = Message.objects.filter(flow_control=OuterRef("pk"), due_at__isnull=False)
    leased = Message.objects.leased(now).filter(
        account=OuterRef("account"), flow_control=OuterRef("pk")
    )
    period_ends = ExpressionWrapper(
        F("window_started_at") + F("period"), output_field=DateTimeField()
    )
    keys = (
        FlowControl.objects.filter(paused=False)
        .exclude(account__in=full_accounts(now))
        .annotate(first=_earliest(waiting))
        .exclude(first=None)
    )
    next_of_each = keys.annotate(
        next=Case(
            When(first__gt=now, then=F("first")),
            When(~_has_rate(now), then=period_ends),
            When(~_has_slot(now), then=_earliest(leased)),
            default=F("first"),
            output_field=DateTimeField(),
        )
    )
    soonest: datetime | None = next_of_each.aggregate(soonest=Min("next"))["soonest"]
    return soonest


def _earliest(messages: QuerySet[Message]) -> Subquery:
    return Subquery(messages.order_by("due_at").values("due_at")[:1])


def full_accounts(now: datetime) -> list[int]:
    return [pk for pk, left in _free_of_accounts(now).items() if not left]


def next_due_without_key(now: datetime) -> Iterator[datetime | None]:
    """The same for what waits for the cap of its account alone, or for nothing."""
    full = full_accounts(now)
    unkeyed = Message.objects.filter(flow_control=None).order_by("flow_control_id", "due_at")
    moments = unkeyed.values_list("due_at", flat=True)
    yield moments.filter(due_at__lte=now).exclude(account__in=full).first()
    yield moments.filter(due_at__gt=now).first()
    if full:
        yield (
            Message.objects.leased(now).filter(account__in=full).aggregate(end=Min("due_at"))["end"]
        )
