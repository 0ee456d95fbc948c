"""Which branch of a race has won: decided once, recorded, and found again by every replay."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from workflows_app.errors import StepMisuse
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.faults import describe_cancellation
from workflows_app.protocol.runs import StepKind, StepRecord
from workflows_app.sdk.interrupts import Halt
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask
from workflows_app.sdk.unfit import asked_for

NAME = "race"
"""Under which the winner is recorded, as the result of a step."""

_NO_END = datetime.min.replace(tzinfo=UTC)


class Race:
    """One race in one turn.

    The branches that have begun are first replayed, only as far as they are recorded. Of those
    that come to their end so, the one whose last step ended first has won: so it is whenever the
    run is taken up again, and whoever was the first to notice. Else all of them go on.
    """

    def __init__(
        self, replay: Replay, parent: Scope, key: str, recorded: StepRecord | None, branches: int
    ) -> None:
        """Raises Halt when the code does not fit what is recorded."""
        self._replay = replay
        self._parent = parent
        self._key = key
        self._opened_at = replay.now()
        self.scopes = [replay.branch(parent) for _ in range(branches)]
        self.winner: int | None = None
        if recorded is not None:
            self.winner = self._winner_of(recorded)

    def _winner_of(self, recorded: StepRecord) -> int:
        paths = [scope.path for scope in self.scopes]
        begun = decode_json(recorded.input or "{}").get("branches", [])
        if paths != begun:
            was, asked = (f'"{self._key}" of {len(each)} branches' for each in (begun, paths))
            raise self._replay.stop(Halt(asked_for(self._replay.run, was, asked)))
        return paths.index(decode_json(recorded.result or "{}")["winner"])

    def _lose(self) -> list[tuple[Ask, datetime]]:
        losers = (scope for index, scope in enumerate(self.scopes) if index != self.winner)
        return self._replay.lose(losers)

    # -- finding out by what is recorded

    def look(self) -> list[int]:
        """The branches that may have come to their end, each in a scope that only replays."""
        return self._to_replay(self._replay.has_begun)

    def losers_to_replay(self) -> list[int]:
        """Of a race that is recorded, those that are to say what there is to be undone of them."""
        return self._to_replay(self._replay.has_acted)

    def _to_replay(self, is_of_interest: Callable[[Scope], bool]) -> list[int]:
        found = [index for index, scope in enumerate(self.scopes) if is_of_interest(scope)]
        found = [index for index in found if index != self.winner]
        for index in found:
            self.scopes[index] = self._replay.reopen(self.scopes[index])
            self.scopes[index].replays = True
        return found

    def leave_losers(self) -> None:
        """They have said what there is to be said."""
        self._lose()

    def first_of(self, ended: Iterable[int]) -> int | None:
        """The one whose last step ended first."""
        return min(ended, key=lambda index: end_of(self.scopes[index]), default=None)

    def go_on(self, looked: Iterable[int]) -> None:
        """No branch has ended; those that were only replayed begin again, to go further."""
        for index in looked:
            self.scopes[index] = self._replay.reopen(self.scopes[index])

    # -- deciding

    def won_by_record(self, winner: int) -> list[StepRecord]:
        """To be recorded: who has won, as what was recorded before tells. Nothing as long as only
        that is to be found out of the branch that the race is in.
        """
        self.scopes[winner].replays = self._parent.replays
        now = self._replay.now()
        records = self._decide(winner, min(self.scopes[winner].ended_at or now, now))
        return [] if self._parent.replays else records

    def won_now(self, winner: int) -> list[StepRecord]:
        """To be recorded: who has won, and what its rivals were at."""
        return self._decide(winner, self._replay.now())

    def _decide(self, winner: int, ended_at: datetime) -> list[StepRecord]:
        self.winner = winner
        at_work = self._lose()
        record = StepRecord(
            key=self._key,
            name=NAME,
            kind=StepKind.RACE,
            branch=self._parent.path,
            input=encode_json({"branches": [scope.path for scope in self.scopes]}),
            result=encode_json({"winner": self.scopes[winner].path}),
            error=None,
            attempts=1,
            started_at=min(self._begins(), default=self._opened_at),
            ended_at=ended_at,
        )
        return [record, *(self._canceled(ask, since) for ask, since in at_work)]

    def _begins(self) -> Iterable[datetime]:
        return (scope.expected[0].started_at for scope in self.scopes if scope.expected)

    def _canceled(self, ask: Ask, since: datetime) -> StepRecord:
        return StepRecord(
            key=ask.key,
            name=ask.name,
            kind=ask.kind,
            branch=ask.branch,
            input=None,
            result=None,
            error=describe_cancellation(self._key),
            attempts=ask.attempt,
            started_at=since,
            ended_at=self._replay.now(),
            sensitive=ask.sensitive,
            config=ask.config,
        )


def end_of(scope: Scope) -> datetime:
    """When a branch has come to its end, as far as is recorded."""
    return scope.ended_at or _NO_END


def check_branches(branches: Sequence[Any]) -> None:
    """Raises StepMisuse."""
    if not branches:
        raise StepMisuse("context.race() without a branch has no winner; give it functions")
    for branch in branches:
        if not callable(branch):
            for each in filter(inspect.iscoroutine, branches):
                each.close()
            raise StepMisuse(
                "context.race takes functions, which it calls itself, as in "
                f"context.race(lambda: context.sleep(...), ...); not {branch!r:.80}"
            )
