"""Schedules: the same publication, or a run of the same workflow, again and again, at the times of
a cron expression.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial

from django.db.models import QuerySet

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import joining, settling
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.publications import check, check_destination, publish
from workflows_app.engine.scheduled_runs import start_run
from workflows_app.errors import (
    InvalidInput,
    LeaseLost,
    LimitExceeded,
    NotFound,
    WorkflowsError,
)
from workflows_app.models import Account, Definition, Message, Publication, Run, Schedule
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.cron import check_cron, next_slot
from workflows_app.protocol.headers import MessageOptions, collect_headers, parse_headers
from workflows_app.protocol.names import check_id, check_name
from workflows_app.protocol.texts import storable

logger = logging.getLogger("workflows_app")

_LONGEST_CRON = 255
_LONGEST_CRON_OF_WORKFLOW = 256


def options_of(schedule: Schedule) -> MessageOptions:
    """Of each of its publications."""
    return parse_headers(schedule.header_map.items())


def next_slot_of(schedule: Schedule) -> datetime | None:
    """None while it is paused."""
    return None if schedule.paused else next_slot(schedule.cron, clock.now())


def published_last(schedule: Schedule) -> QuerySet[Publication]:
    """At its last slot."""
    published = Publication.objects.of(schedule.account).filter(schedule_id=schedule.public_id)
    return published.filter(created_at__gte=schedule.last_slot_at).order_by("id")


def schedules_of(account: Account) -> QuerySet[Schedule]:
    """Those that publish; what workflows are started by is part of these."""
    return Schedule.objects.filter(account=account, definition=None)


def find_schedule(account: Account, public_id: str) -> Schedule:
    """Raises NotFound."""
    schedule = schedules_of(account).filter(public_id=public_id).first()
    if schedule is None:
        raise NotFound(f'there is no schedule "{public_id[:100]}" in this account')
    return schedule


def create(
    account: Account,
    destination: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    caller_ip: str,
) -> Schedule:
    """Make a schedule, or give the one of the same id all that is said here. It stays paused.

    Raises InvalidInput for what could not be published, and NotFound for an unknown URL group.
    """
    pairs = list(headers)
    options = parse_headers(pairs)
    cron = _checked(account, destination, options, body)
    said = {
        "cron": cron,
        "destination": destination,
        "queue": options.queue or "",
        "headers": encode_json(_kept(pairs)),
        "body": body,
        "caller_ip": caller_ip,
    }
    public_id = options.schedule_id or f"scd_{secrets.token_urlsafe(18)}"
    with joining():
        # This locks it until the transaction ends.
        schedule, _ = Schedule.objects.update_or_create(
            account=account,
            public_id=public_id,
            defaults=said,
            create_defaults={**said, "created_at": clock.now()},
        )
        _owe_next_slot(schedule)
    return schedule


def _checked(account: Account, destination: str, options: MessageOptions, body: bytes) -> str:
    if options.cron is None:
        raise InvalidInput('Upstash-Cron: a schedule needs one, such as "*/5 * * * *"')
    if len(options.cron) > _LONGEST_CRON:
        raise InvalidInput(f"Upstash-Cron: it has at most {_LONGEST_CRON} characters")
    if options.schedule_id is not None:
        check_id("Upstash-Schedule-Id: it", options.schedule_id)
    if options.queue is not None:
        check_name("Upstash-Queue-Name: the name of a queue", options.queue)
    check_destination(account, destination)
    check(options, body)
    return options.cron


def _kept(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """What the publications are to be made of: not the credentials of who asked for them."""
    collected = collect_headers(pairs)
    if collected.get("upstash-header-forward", "").lower() == "true":
        return {name: value for name, value in collected.items() if name != "authorization"}
    return {
        name: value
        for name, value in collected.items()
        if name == "content-type" or name.startswith("upstash-")
    }


def check_crons(crons: Sequence[str]) -> list[str]:
    """Each once, as it is stored. Raises InvalidInput for what a workflow cannot have."""
    most = get_settings().MAX_SCHEDULES
    if len(crons) > most:
        raise LimitExceeded(f"a workflow has at most {most} schedules, not {len(crons)}")
    for cron in crons:
        if len(cron) > _LONGEST_CRON_OF_WORKFLOW:
            raise InvalidInput(
                f"a cron expression has at most {_LONGEST_CRON_OF_WORKFLOW} characters"
            )
    return list(dict.fromkeys(map(check_cron, crons)))


def set_for(definition: Definition, crons: Sequence[str]) -> None:
    """Have runs of the workflow start at the times of these checked expressions, and no others.
    Those that it has already keep the slot that comes next. In a transaction.
    """
    before = {each.cron: each for each in definition.schedules.order_by("pk")}
    for cron in before.keys() - set(crons):
        delete(before[cron])
    for cron in crons:
        if cron not in before:
            schedule = Schedule.objects.create(
                account_id=definition.account_id,
                definition=definition,
                # No id that callers choose has a "/".
                public_id=f"scd/{secrets.token_urlsafe(18)}",
                cron=cron,
                created_at=clock.now(),
            )
            _owe_next_slot(schedule)


def pause(schedule: Schedule) -> None:
    """Its slots pass by until it is resumed."""
    _set_paused(schedule, paused=True)


def resume(schedule: Schedule) -> None:
    _set_paused(schedule, paused=False)


def _set_paused(schedule: Schedule, *, paused: bool) -> None:
    with joining():
        if _lock(schedule.pk) is None:
            raise NotFound(f'schedule "{schedule.public_id}" has been deleted')
        schedule.paused = paused
        schedule.save(update_fields=["paused"])
        _owe_next_slot(schedule)


def trigger(schedule: Schedule) -> Run | None:
    """Do now what it does at its slots, even while it is paused. Gives the run, if it starts runs.
    Raises WorkflowsError when it can do nothing.
    """
    with joining():
        fresh = _lock(schedule.pk)
        if fresh is None:
            raise NotFound(f'schedule "{schedule.public_id}" has been deleted')
        if fresh.definition is not None:
            return start_run(fresh, clock.now())
        _publish(fresh)
        return None


def delete(schedule: Schedule) -> None:
    """What it has published already is delivered all the same."""
    with joining():
        _lock(schedule.pk)
        schedule.delete()


def _lock(pk: int) -> Schedule | None:
    """Comes before a lock on its message."""
    return Schedule.objects.select_for_update().filter(pk=pk).first()


def _owe_next_slot(schedule: Schedule) -> None:
    """In place of the slot that was owed, whoever may be at work on it."""
    Message.objects.filter(schedule=schedule).delete()
    slot = next_slot_of(schedule)
    if slot is not None:
        Message.objects.create(
            account_id=schedule.account_id,
            schedule=schedule,
            kind=Message.Kind.SCHEDULE,
            due_at=slot,
            request=slot.isoformat(),
            created_at=clock.now(),
        )
        get_dispatcher().ring()


def fire(lease: Lease) -> None:
    """Do it, and owe the next slot after now: of those that passed meanwhile, one counts.

    Raises LeaseLost.
    """
    with settling():
        schedule = _lock(lease.schedule_id or 0)
        if schedule is None:
            raise LeaseLost
        hold(lease)
        slot = datetime.fromisoformat(lease.request)
        schedule.last_slot_at = slot
        act: Callable[[Schedule], object] = _publish
        if schedule.definition is not None:
            act = partial(start_run, slot=slot)
        schedule.error = _tried(schedule, act)
        schedule.save(update_fields=["last_slot_at", "error"])
        _owe_next_slot(schedule)


def _tried(schedule: Schedule, act: Callable[[Schedule], object]) -> str:
    """What is wrong, if it cannot be done any more; a later slot may find it mended."""
    try:
        with joining():
            act(schedule)
    except WorkflowsError as error:
        logger.warning("schedule %s can do nothing: %s", schedule.public_id, error.message)
        return storable(error.message)
    return ""


def _publish(schedule: Schedule) -> None:
    publish(
        schedule.account,
        schedule.destination,
        options_of(schedule),
        bytes(schedule.body),
        caller_ip=schedule.caller_ip,
        queue=schedule.queue,
        schedule_id=schedule.public_id,
    )
