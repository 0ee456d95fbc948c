"""The time of a run that is worked on here, as its journal and what is owed to it tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Case, IntegerField, Value, When
from django.utils.translation import gettext as _

from workflows_app.admin.remote_activity import open_invocations
from workflows_app.admin.timeline_tracks import Doing, Stretch, Track, Try, between, cut, tried
from workflows_app.engine import clock
from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.faults import LOST
from workflows_app.protocol.runs import UNDO
from workflows_app.sdk.replay import FUNCTION

MOST_TRIES = 2_000
MOST_CHILDREN = 200
"""The newest failed attempts, and the newest runs that it invoked, that are drawn."""

_WAITS = (Step.Kind.SLEEP, Step.Kind.CALL, Step.Kind.WAIT, Step.Kind.WAIT_FOR_WEBHOOK)
WAITS = frozenset(str(kind) for kind in (*_WAITS, Step.Kind.INVOKE))
_NOT_DRAWN = frozenset(str(kind) for kind in (Step.Kind.PATCHED, Step.Kind.RACE))
"""They are about other steps, and last as long as those."""

_FAILED, _CANCELED = 1, 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A step of the journal without its values."""

    pk: int
    key: str
    name: str
    branch: str
    kind: str
    begin: datetime
    end: datetime
    ending: int

    @property
    def has_failed(self) -> bool:
        return self.ending == _FAILED and self.key != UNDO

    @property
    def is_canceled(self) -> bool:
        return self.ending == _CANCELED


def read_journal(run: Run) -> list[Entry]:
    """In its order."""
    ending = Case(
        When(error__isnull=True, then=Value(0)),
        When(error__startswith=LOST, then=Value(_CANCELED)),
        default=Value(_FAILED),
        output_field=IntegerField(),
    )
    rows = Step.objects.filter(run=run).values_list(
        "pk", "key", "name", "branch", "kind", "started_at", "ended_at", ending
    )
    return sorted((Entry(*row) for row in rows), key=lambda entry: entry.pk)


def read_tries(run: Run) -> dict[str, list[Try]]:
    """By the keys of their steps, oldest first."""
    attempts = Attempt.objects.filter(run=run).exclude(key=FAILURE_KEY).order_by("-pk")
    rows = attempts.values_list("key", "outcome", "started_at", "ended_at", "retry_at")
    found: dict[str, list[Try]] = defaultdict(list)
    for key, outcome, began, ended, retry_at in reversed(rows[:MOST_TRIES]):
        found[key].append(Try(outcome, began, ended, retry_at))
    return found


def read_children(run: Run) -> dict[str, Run]:
    """The runs that it has invoked, by the keys of its steps."""
    invocations = Invocation.objects.filter(parent=run).select_related("child").order_by("-pk")
    large = (f"child__{name}" for name in ("payload", "headers", "result", "error"))
    return {each.key: each.child for each in invocations.defer("step", *large)[:MOST_CHILDREN]}


def read_tracks(run: Run, journal: Sequence[Entry]) -> list[Track]:
    """Without the steps that were kept from another run."""
    return _Reader(run, journal).tracks()


class _Reader:
    def __init__(self, run: Run, journal: Sequence[Entry]) -> None:
        self.run = run
        self.journal = journal
        self.now = run.ended_at or clock.now()
        self.tries = read_tries(run)
        self.children = read_children(run)

    def tracks(self) -> list[Track]:
        drawn = [entry for entry in self.journal if entry.kind not in _NOT_DRAWN]
        found = [self._ended(each) for each in drawn if each.begin >= self.run.created_at]
        recorded = {entry.key for entry in self.journal}
        begun = [key for key in self.tries if key not in recorded]
        if not self.run.is_live:
            found += [self._begun(key, None) for key in begun]
        else:
            found += self._under_way(begun, recorded, found)
        return [cut(each, self.now, is_live=self.run.is_live) for each in found]

    def _under_way(
        self, begun: Sequence[str], recorded: set[str], ended: Sequence[Track]
    ) -> list[Track]:
        turn, calls = self._owed()
        found = list(self._waiting(calls))
        is_known = turn is not None and turn.at_step_since is not None and _works(turn)
        at_step = turn.at_step if turn is not None and is_known else ""
        keys = [key for key in begun if key in self.tries and key != at_step]
        found += [self._begun(key, None) for key in keys]
        if turn is not None and at_step and at_step not in recorded:
            found.append(self._begun(at_step, turn.at_step_since))
        return [*found, *self._next(turn, [*ended, *found])]

    def _owed(self) -> tuple[Message | None, list[Message]]:
        kinds = (Message.Kind.TURN, Message.Kind.CALL)
        owed = Message.objects.filter(run=self.run, kind__in=kinds).defer("request")
        turns = [each for each in owed if each.kind == Message.Kind.TURN]
        calls = [each for each in owed if each.kind == Message.Kind.CALL]
        return (turns[0] if turns else None), calls

    def _ended(self, entry: Entry) -> Track:
        """A step that is in the journal; a sleep may go on for all that."""
        tries = self.tries.get(entry.key, [])
        return Track(
            name=entry.name,
            key=entry.key,
            pk=entry.pk,
            branch=entry.branch,
            stretches=_stretches(entry, tries),
            failures=[each.end for each in tries],
            has_failed=entry.has_failed,
            is_canceled=entry.is_canceled,
            child=self.children.get(entry.key),
        )

    def _begun(self, key: str, since: datetime | None) -> Track:
        """A step without a result, or the function itself; `since` when it is at work on it."""
        tries = self.tries.get(key, [])
        stretches = tried(tries, since)
        if since is not None:
            stretches.append(self._open(Doing.RUNNING, since))
        elif self.run.is_live and tries:
            stretches += self._until_the_next(key, tries[-1])
        name, branch = (_("the function"), "") if key == FUNCTION else split(key)
        failures = [each.end for each in tries]
        return Track(name=name, key=key, branch=branch, stretches=stretches, failures=failures)

    def _until_the_next(self, key: str, last: Try) -> list[Stretch]:
        """When the function, which has no entry in the journal, was tried again, its steps tell."""
        due = last.retry_at or last.end
        coming = max(last.end, min(due, self.now) if key == FUNCTION else self.now)
        found = between(last, coming)
        if found and coming == self.now:
            found[-1] = replace(found[-1], goes_on=True)
        return found

    def _waiting(self, calls: Iterable[Message]) -> Iterator[Track]:
        for call in calls:
            # It is tried again without leaving the journal's sight: those attempts are marks.
            tries = self.tries.pop(call.key, [])
            yield self._wait(call.key, call.created_at, failures=[each.end for each in tries])
        for key, since in Waiter.objects.filter(run=self.run).values_list("key", "created_at"):
            yield self._wait(key, since)
        for each in open_invocations([self.run.pk])[:MOST_CHILDREN]:
            yield self._wait(each.key, each.created_at, child=each.child)

    def _wait(
        self,
        key: str,
        since: datetime,
        *,
        failures: Sequence[datetime] = (),
        child: Run | None = None,
    ) -> Track:
        name, branch = split(key)
        stretches = [self._open(Doing.WAITING, since)]
        return Track(
            name=name,
            key=key,
            branch=branch,
            stretches=stretches,
            failures=list(failures),
            child=child,
        )

    def _next(self, turn: Message | None, found: Sequence[Track]) -> Iterator[Track]:
        """What goes on now, where no step tells it."""
        stretches = [each for track in found for each in track.stretches]
        under_way = {each.doing for each in stretches if each.goes_on}
        if self.run.paused_at is not None and Doing.RUNNING not in under_way:
            yield self._at(_("paused"), Doing.WAITING, self.run.paused_at)
        elif turn is None or turn.due_at is None:
            return
        elif _works(turn):
            ended = (each.end for each in stretches if each.end <= self.now)
            since = max(ended, default=self.run.created_at)
            if Doing.RUNNING not in under_way:
                yield self._at(_("at work"), Doing.RUNNING, since)
        elif turn.due_at <= self.now:
            if Doing.QUEUED not in under_way:
                yield self._at(_("queued"), Doing.QUEUED, turn.due_at)
        elif not turn.claims:
            yield self._at(_("delayed start"), Doing.WAITING, self.run.created_at)

    def _at(self, name: str, doing: Doing, since: datetime) -> Track:
        return Track(name=name, stretches=[self._open(doing, since)])

    def _open(self, doing: Doing, since: datetime) -> Stretch:
        return Stretch(doing=doing, begin=since, end=max(since, self.now), goes_on=True)


def _works(turn: Message) -> bool:
    """Whether a worker is at work on it; without a lease that has not run out, none is."""
    return turn.token is not None and turn.due_at is not None and turn.due_at > clock.now()


def _stretches(entry: Entry, tries: Sequence[Try]) -> list[Stretch]:
    if entry.kind in WAITS:
        begin = min(entry.begin, tries[0].begin) if tries else entry.begin
        return [Stretch(doing=Doing.WAITING, begin=begin, end=entry.end)]
    if not tries:
        return [Stretch(doing=Doing.RUNNING, begin=entry.begin, end=entry.end)]
    if entry.is_canceled:
        rest = Stretch(doing=Doing.WAITING, begin=tries[-1].end, end=entry.end)
        return [*tried(tries, None), rest]
    if entry.begin <= tries[-1].begin:  # the last of them is what failed it
        return tried(tries, None)
    last = Stretch(doing=Doing.RUNNING, begin=entry.begin, end=entry.end)
    return [*tried(tries, entry.begin), last]


def split(key: str) -> tuple[str, str]:
    """The name and the branch of a step without an entry in the journal."""
    match = re.fullmatch(r"(?P<name>.*?)(?:@(?P<branch>[\d.]+))?(?:#\d+)?", key, re.DOTALL)
    return (match["name"], match["branch"] or "") if match else (key, "")
