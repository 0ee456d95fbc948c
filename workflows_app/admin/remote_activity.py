"""What remote runs are doing now, as what is owed to them and what they wait for tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from workflows_app.admin.displays import Tone
from workflows_app.admin.doing import Activity, and_more, awaiting_answer, queued
from workflows_app.engine.remote.reading import START
from workflows_app.models import Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.runs import StepKind


class RemoteActivities:
    """Of live remote runs; read in a fixed number of queries."""

    def __init__(self, runs: Sequence[Run], owed: Iterable[Message], now: datetime) -> None:
        self._now = now
        self._owed: dict[int, list[Message]] = defaultdict(list)
        for message in owed:
            if message.run_id is not None:
                self._owed[message.run_id].append(message)
        pks = [run.pk for run in runs]
        self._steps = _steps_owed(self._owed)
        self._invocations: dict[int, list[Invocation]] = defaultdict(list)
        self._waiters = waiters_of(pks)
        if not pks:
            return
        for invocation in open_invocations(pks):
            self._invocations[invocation.parent_id].append(invocation)

    def activity(self, run: Run) -> Activity:
        """The first of these that it does."""
        owed = self._owed[run.pk]
        deliveries = [each for each in owed if each.kind == Message.Kind.DELIVERY]
        for found in (
            self._at_work(deliveries),
            self._queued(deliveries),
            self._to_come(deliveries),
            self._calling(owed),
            self._awaiting_event(run),
            self._awaiting_run(run),
        ):
            if found is not None:
                return found
        return Activity(state="running", tone=Tone.BUSY)

    def _at_work(self, deliveries: Sequence[Message]) -> Activity | None:
        leased = [each for each in deliveries if each.token is not None and not self._is_due(each)]
        if not leased:
            return None
        steps = and_more(self._work_of(leased[0]), len(leased))
        sentence = _("at %(steps)s") % {"steps": steps}
        return Activity(state="at work", tone=Tone.BUSY, sentence=sentence)

    def _queued(self, deliveries: Sequence[Message]) -> Activity | None:
        due = next((each for each in deliveries if self._is_due(each)), None)
        return None if due is None else queued(due.flow_control)

    def _to_come(self, deliveries: Sequence[Message]) -> Activity | None:
        timed = [each for each in deliveries if each.due_at is not None]
        if not timed:
            return None
        first = min(timed, key=lambda each: each.due_at or self._now)
        if first.claims:
            told = ("retrying", self._work_of(first), _("next attempt"))
        elif first.key == START:
            told = ("delayed", "", _("starts"))
        else:
            told = ("asleep", _("in %(step)s") % {"step": self._name_of(first)}, _("wakes"))
        state, sentence, coming = told
        return Activity(
            state=state, tone=Tone.WAITING, sentence=sentence, next=coming, until=first.due_at
        )

    def _calling(self, owed: Sequence[Message]) -> Activity | None:
        calls = [each for each in owed if each.kind == Message.Kind.CALL]
        return awaiting_answer(self._name_of(calls[0]), len(calls)) if calls else None

    def _awaiting_event(self, run: Run) -> Activity | None:
        waiters = self._waiters[run.pk]
        return awaiting_event(waiters) if waiters else None

    def _awaiting_run(self, run: Run) -> Activity | None:
        invocations = self._invocations[run.pk]
        if not invocations:
            return None
        return Activity(state="waiting", tone=Tone.WAITING, sentence=awaiting(invocations))

    def _is_due(self, message: Message) -> bool:
        return message.due_at is not None and message.due_at <= self._now

    def _work_of(self, message: Message) -> str:
        """What its delivery has the endpoint do."""
        if message.key == START:
            return _("its first step")
        kind, name = self._steps.get((message.run_id or 0, message.key), ("", message.key))
        if kind in (StepKind.PLAN, StepKind.CALL_ANSWERED):
            return name
        return _("the step after %(step)s") % {"step": name}

    def _name_of(self, message: Message) -> str:
        return self._steps.get((message.run_id or 0, message.key), ("", message.key))[1]


def _steps_owed(owed: dict[int, list[Message]]) -> dict[tuple[int, str], tuple[str, str]]:
    """Kind and name of the steps that messages serve."""
    keys = {message.key for messages in owed.values() for message in messages} - {START}
    if not keys:
        return {}
    steps = Step.objects.filter(run__in=list(owed), key__in=keys)
    return {
        (run_id, key): (kind, name)
        for run_id, key, kind, name in steps.values_list("run_id", "key", "kind", "name")
    }


def waiters_of(runs: Sequence[int]) -> dict[int, list[Waiter]]:
    """By the runs' primary keys, the next to give up first."""
    found: dict[int, list[Waiter]] = defaultdict(list)
    waiters = Waiter.objects.filter(run__in=runs).order_by("deadline")
    for waiter in waiters if runs else ():
        found[waiter.run_id].append(waiter)
    return found


def awaiting_event(waiters: Sequence[Waiter]) -> Activity:
    return Activity(
        state="waiting",
        tone=Tone.WAITING,
        sentence=_("for event %(events)s")
        % {"events": and_more(waiters[0].event_id, len(waiters))},
        next=_("gives up"),
        until=waiters[0].deadline,
    )


def awaiting(invocations: Sequence[Invocation]) -> str:
    runs = and_more(invocations[0].child.run_id, len(invocations))
    return _("for run %(runs)s") % {"runs": runs}


def open_invocations(runs: Sequence[int]) -> QuerySet[Invocation]:
    ended = Step.objects.filter(run=OuterRef("parent"), key=OuterRef("key"))
    invocations = Invocation.objects.filter(parent__in=runs).exclude(Exists(ended))
    return invocations.select_related("child").defer("child__payload").order_by("pk")
