"""The rows that the overview names: stuck runs, workers with what they do, slots of schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from workflows_app.admin.displays import when
from workflows_app.engine import backlog, clock, presence
from workflows_app.models import Message, Run, Schedule, Worker
from workflows_app.protocol.codec import decode_json

MOST_STUCK = 5
MOST_WORKERS = 50
MOST_AT_WORK = 5
"""Messages named for each worker."""
MOST_SLOTS = 8

PageOf = Callable[[Model], str]
"""The address of a row's page; empty for who may not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckRun:
    workflow: str
    run_id: str
    url: str
    reason: str
    since: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    text: str
    run_id: str = ""
    url: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    name: str
    threads: int
    since: Any
    seen: Any
    deliveries: Sequence[Delivering]
    more: int
    """How many it delivers that are not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    moment: Any
    name: str
    cron: str
    url: str


def stuck(runs: QuerySet[Run], page_of: PageOf) -> list[StuckRun]:
    """The oldest few of those that are."""
    found = list(backlog.stuck(runs).order_by("pk")[:MOST_STUCK])
    owed = Message.objects.filter(run__in=found, kind__in=backlog.WORK).order_by("-due_at")
    last = {message.run_id: message for message in owed}
    return [_stuck_run(run, last.get(run.pk), page_of) for run in found]


def _stuck_run(run: Run, message: Message | None, page_of: PageOf) -> StuckRun:
    if message is not None and message.lapses >= backlog.LAPSES:
        reason = _("%(number)d leases in a row have run out") % {"number": message.lapses}
    else:
        reason = _("due, and nobody takes it")
    return StuckRun(
        workflow=run.workflow or run.url,
        run_id=run.run_id,
        url=page_of(run),
        reason=reason,
        since=when(run.created_at if message is None else message.due_at),
    )


def workers(runs: QuerySet[Run], page_of: PageOf) -> list[WorkerRow]:
    """Those alive; of what they do, runs are named that are among `runs`."""
    found = list(presence.alive(clock.now())[:MOST_WORKERS])
    held: dict[int, list[int]] = {each.pk: decode_json(each.at_work) for each in found}
    named = {key for keys in held.values() for key in keys[:MOST_AT_WORK]}
    messages = Message.objects.only("kind", "run_id", "at_step").in_bulk(named)
    owners = runs.in_bulk({each.run_id for each in messages.values() if each.run_id})
    return [_worker_row(each, held[each.pk], messages, owners, page_of) for each in found]


def _worker_row(
    worker: Worker,
    held: Sequence[int],
    messages: dict[int, Message],
    owners: dict[Any, Run],
    page_of: PageOf,
) -> WorkerRow:
    deliveries = [
        _delivering(messages[key], owners.get(messages[key].run_id), page_of)
        for key in held[:MOST_AT_WORK]
        if key in messages
    ]
    return WorkerRow(
        name=worker.name,
        threads=worker.threads,
        since=when(worker.started_at),
        seen=when(worker.seen_at),
        deliveries=deliveries,
        more=max(0, len(held) - MOST_AT_WORK),
    )


def _delivering(message: Message, run: Run | None, page_of: PageOf) -> Delivering:
    if run is None:
        return Delivering(text=_("a run") if message.run_id else str(message.get_kind_display()))
    name = run.workflow or run.url
    return Delivering(text=name, run_id=run.run_id, url=page_of(run), step=message.at_step)


def next_slots(schedules: QuerySet[Schedule], page_of: PageOf) -> list[Slot]:
    owed = Message.objects.filter(schedule__in=schedules.filter(paused=False))
    coming = owed.filter(due_at__isnull=False).select_related("schedule__definition")
    return [
        _slot(each, each.schedule, page_of)
        for each in coming.order_by("due_at")[:MOST_SLOTS]
        if each.schedule is not None
    ]


def _slot(message: Message, schedule: Schedule, page_of: PageOf) -> Slot:
    definition = schedule.definition
    return Slot(
        moment=when(message.due_at),
        name=schedule.destination if definition is None else definition.name,
        cron=schedule.cron,
        url=page_of(schedule),
    )
