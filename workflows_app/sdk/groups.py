"""Branches that are opened together, in a synchronous workflow: parallel, race and map."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from workflows_app.protocol.runs import FailedAttempt, StepKind, StepRecord
from workflows_app.sdk.base_context import Ports, current_scope
from workflows_app.sdk.branches import Branches
from workflows_app.sdk.interrupts import Halt, Suspend
from workflows_app.sdk.mapping import Openings, check_concurrency
from workflows_app.sdk.racing import NAME, Race, check_branches, end_of
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import StepOptions

Branch = Callable[[], Any]
Record = Callable[[list[StepRecord], list[FailedAttempt]], object]


class Groups:
    """Of one run in one turn."""

    def __init__(self, replay: Replay, ports: Ports, branches: Branches, record: Record) -> None:
        self._replay = replay
        self._ports = ports
        self._branches = branches
        self._record = record

    def map(
        self, parent: Scope, function: Callable[[Any], Any], items: Iterable[Any], most: int | None
    ) -> list[Any]:
        """The results of all, unless one has failed, in the order of the items."""
        check_concurrency(most)
        works = [partial(function, item) for item in items]
        if self._replay.stopped is not None:
            raise self._replay.stopped
        group = _Parallel(self._replay, parent, works, most)
        self._branches.run(group, inline=self._is_inline(parent))
        group.raise_failure()
        if group.waits:
            raise self._wait(parent)
        return group.results

    def race(self, parent: Scope, branches: Sequence[Branch]) -> Any:
        check_branches(branches)
        key, recorded = self._replay.find(parent, NAME, StepKind.RACE, StepOptions())
        race = Race(self._replay, parent, key, recorded, len(branches))
        if race.winner is not None:
            return self._replay_winner(parent, race, branches)
        looked = self._look(race, branches)
        if looked is None and parent.replays:
            raise self._replay.unrecorded(parent)
        if looked is not None:
            return looked.value()
        group = _Racing(race, branches, self._branches.lock)
        self._branches.run(group, inline=self._is_inline(parent))
        if group.winner is None:
            raise self._wait(parent)
        self._store(group.to_record)
        return group.winner.value()

    def _store(self, steps: list[StepRecord]) -> None:
        if steps:
            self._record(steps, [])

    def _is_inline(self, parent: Scope) -> bool:
        return parent.replays or not self._ports.threads

    def _wait(self, parent: Scope) -> Suspend:
        self._replay.wait(parent, None)
        return Suspend()

    def _replay_winner(self, parent: Scope, race: Race, branches: Sequence[Branch]) -> Any:
        assert race.winner is not None  # noqa: S101 - as the caller has seen
        for index in race.losers_to_replay():
            outcome = _Outcome(race.scopes[index], branches[index])
            if outcome.stops:
                outcome.value()
        race.leave_losers()
        won = _Outcome(race.scopes[race.winner], branches[race.winner])
        if won.waits:
            raise self._wait(parent)
        return won.value()

    def _look(self, race: Race, branches: Sequence[Branch]) -> _Outcome | None:
        """What the branch that has won comes to, if what is recorded tells."""
        looked = {index: _Outcome(race.scopes[index], branches[index]) for index in race.look()}
        for outcome in looked.values():
            if outcome.stops:
                outcome.value()
        winner = race.first_of(index for index, each in looked.items() if not each.waits)
        if winner is None:
            race.go_on(looked)
            return None
        self._store(race.won_by_record(winner))
        return looked[winner]


class _Outcome:
    """What a branch came to."""

    def __init__(self, scope: Scope, branch: Branch) -> None:
        self.scope = scope
        self.result: Any = None
        self.error: BaseException | None = None
        token = current_scope.set(scope)
        try:
            self.result = branch()
        except BaseException as error:  # noqa: BLE001 - raised in the function that opened it
            self.error = error
        finally:
            current_scope.reset(token)

    @property
    def waits(self) -> bool:
        return not self.stops and (self.scope.waits or isinstance(self.error, Suspend))

    @property
    def stops(self) -> bool:
        """Whether nothing may go on after it: the turn, the run, or the process is to end."""
        return self.error is not None and not isinstance(self.error, Exception | Suspend)

    @property
    def has_failed(self) -> bool:
        return isinstance(self.error, Exception)

    def value(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class _Parallel:
    """All branches count; so many of them are open at once."""

    is_over = False

    def __init__(
        self, replay: Replay, parent: Scope, works: Sequence[Branch], most: int | None
    ) -> None:
        self._works = works
        self._scopes = [replay.branch(parent) for _ in works]
        self._openings = Openings(replay, self._scopes, most)
        self._outcomes: list[_Outcome | None] = [None] * len(works)
        self._lock = threading.Lock()
        self._is_stopped = False
        self.width = min(len(works), self._openings.most)

    def take(self) -> Callable[[], None] | None:
        with self._lock:
            index = None if self._is_stopped else self._openings.open_next()
        return None if index is None else partial(self._work_on, index)

    def _work_on(self, index: int) -> None:
        outcome = _Outcome(self._scopes[index], self._works[index])
        self._outcomes[index] = outcome
        with self._lock:
            if outcome.stops:
                self._is_stopped = True
            elif outcome.has_failed:
                self._openings.fail(index)
            elif not outcome.waits:
                self._openings.succeed(index)

    def raise_failure(self) -> None:
        """Of several exceptions that which was the first, as what is recorded tells."""
        stops = [outcome for outcome in self._ended if outcome.stops]
        if stops:
            min(stops, key=lambda outcome: not isinstance(outcome.error, Halt)).value()
        failed = [outcome for outcome in self._ended if outcome.has_failed]
        if failed:
            min(failed, key=lambda outcome: end_of(outcome.scope)).value()

    @property
    def waits(self) -> bool:
        return not self._openings.all_opened or any(outcome.waits for outcome in self._ended)

    @property
    def _ended(self) -> list[_Outcome]:
        return [outcome for outcome in self._outcomes if outcome is not None]

    @property
    def results(self) -> list[Any]:
        return [outcome.value() for outcome in self._ended]


class _Racing:
    """The first branch that ends is the only one that counts."""

    def __init__(self, race: Race, branches: Sequence[Branch], lock: threading.Lock) -> None:
        self._race = race
        self._todo = iter(enumerate(branches))
        self._lock = lock
        self.winner: _Outcome | None = None
        self.to_record: list[StepRecord] = []
        self.width = len(branches)

    @property
    def is_over(self) -> bool:
        return self.winner is not None

    def take(self) -> Callable[[], None] | None:
        with self._lock:
            index, branch = next(self._todo, (0, None))
        return None if branch is None else partial(self._work_on, index, branch)

    def _work_on(self, index: int, branch: Branch) -> None:
        outcome = _Outcome(self._race.scopes[index], branch)
        with self._lock:
            if self.winner is not None or outcome.waits:
                return
            if outcome.stops:
                self._race.leave_losers()
            else:
                self.to_record = self._race.won_now(index)
            self.winner = outcome
