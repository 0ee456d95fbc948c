"""The time of a remote run, as what its endpoint published and what is owed to it tell.

When its endpoint was at work is not recorded: a step that was published when it had ended lasted,
as far as anybody here knows, since what came before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from workflows_app.admin.timeline_tracks import Doing, Stretch, Track, Try, between, cut, tried
from workflows_app.engine.remote.reading import START, ProgramStep, Progress, Situation, key_of
from workflows_app.models import Attempt, Message, Step


def tracks_of(situation: Situation) -> list[Track]:
    """Without the steps that were kept from another run."""
    return _Reader(situation).tracks()


@dataclass(frozen=True, slots=True)
class _Before:
    """What the delivery of a step had to wait for."""

    key: str
    end: datetime


class _Reader:
    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.run = situation.run
        self.now = situation.run.ended_at or situation.now
        self.before = _Before(START, self.run.created_at)

    def tracks(self) -> list[Track]:
        found = []
        for step in self.situation.program:
            if step.began_at >= self.run.created_at:
                found.append(self._track(step))
            if step.result is not None:
                ended = max(self.before.end, min(step.result.ended_at, self.now))
                self.before = _Before(step.result.key, ended)
        found += self._coming()
        return [cut(each, self.now, is_live=self.run.is_live) for each in found if each.stretches]

    def _track(self, step: ProgramStep) -> Track:
        standing = self.situation.standing(step)
        parts = [row.key for row in step.rows if row is not step.result]
        tries = [each for key in parts for each in self._tries(key)]
        if _lasts_since_the_last(step):
            tries = [*self._tries(self.before.key), *tries]
        newest = step.newest
        return Track(
            name=step.name or _("(unknown)"),
            key=str(step.number),
            pk=newest.pk if newest is not None else 0,
            branch=str(step.number) if step.concurrent > 1 else "",
            stretches=self._stretches(step, tries),
            failures=[each.end for each in tries],
            has_failed=standing.progress == Progress.FAILED,
            is_canceled=standing.progress == Progress.CANCELED,
            child=None if step.invocation is None else step.invocation.child,
        )

    def _tries(self, key: str) -> list[Try]:
        return [_try(each) for each in self.situation.failed.get(key, ())]

    def _stretches(self, step: ProgramStep, tries: Sequence[Try]) -> list[Stretch]:
        result = step.result
        end, is_open = (result.ended_at, False) if result is not None else (self.now, True)
        is_open = is_open and self.run.is_live
        if step.sent is not None:
            return list(_call(step, end, is_open=is_open))
        if step.wait is not None or step.invocation is not None:
            return [_stretch(Doing.WAITING, step.began_at, end, is_open=is_open)]
        if result is not None and result.kind == Step.Kind.SLEEP:
            return [_stretch(Doing.WAITING, result.started_at, end)]
        begin = self.before.end if _lasts_since_the_last(step) else step.began_at
        if not tries:
            return [_stretch(Doing.RUNNING, begin, end, is_open=is_open)]
        resumed = min(max(tries[-1].retry_at or tries[-1].end, tries[-1].end), end)
        rest = _stretch(Doing.RUNNING, resumed, end, is_open=is_open)
        return [*tried(tries, resumed), rest]

    def _coming(self) -> Iterator[Track]:
        """Deliveries that will bring a step which nobody knows yet."""
        for element, standing in self.situation.upcoming():
            if element is not None and element.ended_at > self.now:
                continue
            key = key_of(element)
            tries = self._tries(key)
            since = self.run.created_at if element is None else element.ended_at
            stretches = tried(tries, None)
            if self.run.is_live:
                stretches += self._open(standing.message, tries, since)
            yield Track(
                name=_("next step"),
                stretches=stretches,
                failures=[each.end for each in tries],
                has_failed=standing.progress == Progress.FAILED,
            )

    def _open(
        self, message: Message | None, tries: Sequence[Try], since: datetime
    ) -> list[Stretch]:
        if self.run.paused_at is not None:
            return [_stretch(Doing.WAITING, self.run.paused_at, self.now, is_open=True)]
        if message is None or message.due_at is None:
            return []
        if message.due_at > self.now and message.token is None:
            begin = tries[-1].end if tries else since
            return [_stretch(Doing.WAITING, begin, self.now, is_open=True)]
        begin = max(message.due_at, since) if message.token is None else since
        if tries:
            last = tries[-1]
            begin = max(last.retry_at or last.end, last.end)
            delay = between(last, begin)
        else:
            delay = []
        doing = Doing.RUNNING if message.due_at > self.now else Doing.QUEUED
        return [*delay, _stretch(doing, min(begin, self.now), self.now, is_open=True)]


def _lasts_since_the_last(step: ProgramStep) -> bool:
    """A step that is known by its result alone, and that was a function."""
    parts = (step.plan, step.sent, step.answered, step.wait, step.invocation)
    if step.result is None or any(part is not None for part in parts):
        return False
    return step.result.kind != Step.Kind.SLEEP


def _call(step: ProgramStep, end: datetime, *, is_open: bool) -> Iterator[Stretch]:
    """It waits for the answer, which its endpoint then makes a result of."""
    assert step.sent is not None, "a call has a request"  # noqa: S101
    answered = step.answered
    if answered is None:
        yield _stretch(Doing.WAITING, step.sent.started_at, end, is_open=is_open)
        return
    yield _stretch(Doing.WAITING, step.sent.started_at, answered.ended_at)
    yield _stretch(Doing.RUNNING, answered.ended_at, end, is_open=is_open)


def _stretch(doing: Doing, begin: datetime, end: datetime, *, is_open: bool = False) -> Stretch:
    return Stretch(doing=doing, begin=begin, end=max(begin, end), goes_on=is_open)


def _try(attempt: Attempt) -> Try:
    return Try(attempt.outcome, attempt.started_at, attempt.ended_at, attempt.retry_at)
