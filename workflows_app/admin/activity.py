"""What runs are doing at this moment: at work, asleep, waiting, or ended, told in a few words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Max
from django.utils.translation import gettext as _

from workflows_app.admin.displays import Tone, ago, clock_time, span
from workflows_app.admin.doing import Activity, awaiting_answer, queued
from workflows_app.admin.remote_activity import (
    RemoteActivities,
    awaiting,
    awaiting_event,
    open_invocations,
    waiters_of,
)
from workflows_app.admin.values import show_error
from workflows_app.engine import clock
from workflows_app.engine.in_flight import steps_in_flight
from workflows_app.engine.states import State, states_of
from workflows_app.models import Attempt, Invocation, Message, Run, Step


def activity_of(run: Run) -> Activity:
    return activities_of([run])[run.pk]


def activities_of(runs: Iterable[Run]) -> dict[int, Activity]:
    """By the runs' primary keys; in a fixed number of queries."""
    listed = list(runs)
    known = _Known([run for run in listed if run.is_live], clock.now())
    paused = states_of(run for run in listed if run.is_paused)
    return {
        run.pk: _ended(run)
        if not run.is_live
        else _paused(run, paused[run.pk])
        if run.pk in paused
        else known.activity(run)
        for run in listed
    }


def _paused(run: Run, state: State) -> Activity:
    if state is State.PAUSING:
        sentence = _("as soon as what is in flight has ended")
        return Activity(state=state, tone=Tone.BUSY, sentence=sentence)
    since = ""
    if run.paused_at is not None:
        moment = {"time": clock_time(run.paused_at), "ago": ago(run.paused_at)}
        since = _("since %(time)s, %(ago)s") % moment
    return Activity(state=state, tone=Tone.QUIET, sentence=since)


def _ended(run: Run) -> Activity:
    match run.status:
        case Run.Status.SUCCEEDED:
            return Activity(state="succeeded", tone=Tone.GOOD)
        case Run.Status.CANCELED:
            return Activity(state="cancelled", tone=Tone.QUIET)
        case _:
            error = show_error(run.error)
            return Activity(state="failed", tone=Tone.BAD, sentence=error.place if error else "")


class _Known:
    """What the rows say about live runs."""

    def __init__(self, runs: list[Run], now: datetime) -> None:
        self.now = now
        self.turns: dict[int, Message] = {}
        self.calls: dict[int, list[str]] = defaultdict(list)
        owed = _owed_to([run.pk for run in runs])
        self._sort(owed)
        self.invocations: dict[int, list[Invocation]] = defaultdict(list)
        waiting = [pk for pk, turn in self.turns.items() if turn.due_at is None]
        for invocation in open_invocations(waiting) if waiting else ():
            self.invocations[invocation.parent_id].append(invocation)
        self.waiters = waiters_of(waiting)
        self.remote = RemoteActivities([run for run in runs if run.is_remote], owed, now)
        idle = [turn for turn in self.turns.values() if turn.token is None and turn.due_at]
        asleep = Step.objects.filter(kind=Step.Kind.SLEEP)
        self.sleeps = _names_at(asleep.values_list("run_id", "ended_at", "name"), idle, "ended_at")
        tried = Attempt.objects.exclude(retry_at=None)
        self.retries = _names_at(tried.values_list("run_id", "retry_at", "key"), idle, "retry_at")
        self.in_flight = steps_in_flight(self.turns.values())
        leased = [pk for pk, turn in self.turns.items() if turn.token and pk not in self.in_flight]
        self.last_steps = _last_steps(leased)

    def _sort(self, messages: list[Message]) -> None:
        for message in messages:
            run_id = message.run_id
            if run_id is not None and message.kind == Message.Kind.TURN:
                self.turns[run_id] = message
            elif run_id is not None and message.kind == Message.Kind.CALL:
                self.calls[run_id].append(message.key)

    def activity(self, run: Run) -> Activity:
        if run.is_remote:
            return self.remote.activity(run)
        turn = self.turns.get(run.pk)
        if turn is None:
            return Activity(state="running", tone=Tone.BUSY)
        if turn.token is not None:
            return self._leased(run, turn)
        if turn.due_at is None:
            return self._waiting(run)
        if turn.due_at <= self.now:
            return queued(turn.flow_control)
        return self._until(run, turn.claims, turn.due_at)

    def _leased(self, run: Run, turn: Message) -> Activity:
        if turn.due_at is not None and turn.due_at <= self.now:
            sentence = _("its worker has gone; the next free one takes over")
            return Activity(state="queued", tone=Tone.WAITING, sentence=sentence)
        if (step := self.in_flight.get(run.pk)) is not None:
            at = {"step": step.key, "time": span(self.now - step.since)}
            sentence = _("at %(step)s for %(time)s") % at
            return Activity(state="at work", tone=Tone.BUSY, sentence=sentence)
        last = self.last_steps.get(run.pk)
        return Activity(
            state="at work",
            tone=Tone.BUSY,
            sentence=_("after %(step)s") % {"step": last} if last else _("at its first step"),
        )

    def _waiting(self, run: Run) -> Activity:
        calls, invocations = sorted(self.calls[run.pk]), self.invocations[run.pk]
        if self.waiters[run.pk] and not calls:
            return awaiting_event(self.waiters[run.pk])
        if invocations and not calls:
            return Activity(state="waiting", tone=Tone.WAITING, sentence=awaiting(invocations))
        if calls:
            return awaiting_answer(calls[0], len(calls))
        return Activity(state="waiting", tone=Tone.WAITING, sentence=_("to be woken"))

    def _until(self, run: Run, claims: int, due_at: datetime) -> Activity:
        at = (run.pk, due_at)
        if at in self.sleeps:
            told = ("asleep", _("in %(step)s") % {"step": self.sleeps[at]}, _("wakes"))
        elif at in self.retries:
            told = ("retrying", self.retries[at] or _("the function"), _("next attempt"))
        elif not claims:
            told = ("delayed", "", _("starts"))
        else:
            told = ("waiting", "", _("goes on"))
        state, sentence, coming = told
        return Activity(
            state=state, tone=Tone.WAITING, sentence=sentence, next=coming, until=due_at
        )


def _owed_to(run_ids: list[int]) -> list[Message]:
    messages = Message.objects.filter(run_id__in=run_ids).select_related("flow_control")
    return list(messages.defer("request").order_by("pk")) if run_ids else []


def _names_at(rows: Any, turns: list[Message], column: str) -> dict[tuple[int, datetime], str]:
    """Which step a run waits for: what ends, or is tried again, just when its turn falls due."""
    if not turns:
        return {}
    found = rows.filter(
        run_id__in=[turn.run_id for turn in turns],
        **{f"{column}__in": {turn.due_at for turn in turns}},
    )
    return {(run_id, moment): name for run_id, moment, name in found}


def _last_steps(run_ids: list[int]) -> dict[int, str]:
    if not run_ids:
        return {}
    newest = Step.objects.filter(run_id__in=run_ids).values("run_id").annotate(last=Max("id"))
    steps = Step.objects.filter(pk__in=[row["last"] for row in newest])
    return dict(steps.values_list("run_id", "name"))
