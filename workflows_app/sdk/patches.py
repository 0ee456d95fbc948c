"""Which runs follow a change of their workflow's code: decided once for each run and change.

A run that has passed the place of the change keeps to the old code, one that reaches it with the
new code follows the change. What the answer rests on only grows, or is marked in the journal, so a
replay gets the same one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from workflows_app.protocol.branches import paths_above
from workflows_app.protocol.runs import StepKind, StepRecord
from workflows_app.sdk.scopes import MARK, Scope, check_name

_BRANCH = re.compile(r"@([\d.]+)(?:#\d+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The answer; `mark` is to be stored before it is given."""

    followed: bool
    mark: StepRecord | None = None


class Patches:
    """The changes that one turn of a run asks for.

    `branches` are the recorded steps by the path of their branch, `scopes` the branches that the
    turn has opened so far, `tried` the keys of steps that have failed attempts.
    """

    def __init__(
        self,
        marks: Iterable[StepRecord],
        branches: Mapping[str, Collection[StepRecord]],
        scopes: Mapping[str, Scope],
        tried: Iterable[str],
        now: Callable[[], datetime],
    ) -> None:
        self._marked = {mark.name: followed(mark) for mark in marks}
        self._branches = branches
        self._scopes = scopes
        recorded = {step.key for steps in branches.values() for step in steps}
        self._begun = {key for key in tried if key and key not in recorded}
        self._recorded = recorded
        self._now = now
        self._answered: dict[str, bool] = {}
        self._postponed: dict[str, Scope] = {}
        self.lost: set[str] = set()
        """Branches that have lost a race: nobody will ask for what is recorded of them."""
        self._lock = threading.Lock()

    def needs_begun(self, change_id: str) -> bool:
        """Whether `add_begun` is to be called before `ask`."""
        return change_id not in self._marked

    def add_begun(self, keys: Collection[str]) -> None:
        """Steps that the server has been given, whether or not they have ended by now."""
        with self._lock:
            # Another set: a branch beside this one may be walking through the one before.
            self._begun = self._begun | (set(keys) - self._recorded)

    def is_decided(self, scope: Scope, change_id: str) -> bool:
        """Whether what is recorded tells the answer."""
        return change_id in self._marked or self._has_passed(scope)

    def ask(self, scope: Scope, change_id: str) -> Known | None:
        """Whether the run follows the change; None if that shows only at the end of the turn, when
        all branches have got as far as they can.
        """
        check_name(change_id)
        if change_id in self._marked:
            return Known(followed=self._marked[change_id])
        # Whoever has passed the place says so before it goes on, and what it has passed counts as
        # asked for only afterwards.
        with self._lock:
            if self._has_passed(scope):
                return Known(followed=self._answered.setdefault(change_id, False))
            if change_id not in self._answered:
                if self._is_anything_unasked():
                    self._postponed[change_id] = scope
                    return None
                self._answered[change_id] = True
            answer = self._answered[change_id]
        return Known(followed=answer, mark=self._mark(scope, change_id, answer=answer))

    def keep(self, change_id: str, answer: bool) -> None:  # noqa: FBT001 - it is the answer
        """Its mark is stored, with this answer."""
        self._marked[change_id] = answer

    def decide_postponed(self) -> list[StepRecord]:
        """The marks of what could not be answered in this turn, which has ended. What is unasked
        still, comes after a place that was asked at.
        """
        is_new = not self._is_anything_unasked()
        return [
            self._mark(scope, change_id, answer=self._answered.get(change_id, is_new))
            for change_id, scope in self._postponed.items()
        ]

    def _has_passed(self, scope: Scope) -> bool:
        """Whether something after this place is recorded or begun: in its branch, or in branches
        that it has yet to open.
        """
        if scope.position < len(scope.expected):
            return True
        if any(_number_below(scope, path) > scope.branches for path in self._branches):
            return True
        return any(
            path == scope.path or _number_below(scope, path) > scope.branches
            for path in map(branch_of, self._unasked_begun())
        )

    def _is_anything_unasked(self) -> bool:
        for path, steps in self._branches.items():
            scope = self._scopes.get(path)
            if self._has_lost(path):
                continue
            if steps and (scope is None or scope.position < len(steps)):
                return True
        return any(True for _ in self._unasked_begun())

    def _unasked_begun(self) -> Iterator[str]:
        for key in self._begun:
            scope = self._scopes.get(branch_of(key))
            if self._has_lost(branch_of(key)):
                continue
            if scope is None or key not in scope.asked:
                yield key

    def _has_lost(self, path: str) -> bool:
        return bool(self.lost) and not self.lost.isdisjoint(paths_above(path))

    def _mark(self, scope: Scope, change_id: str, *, answer: bool) -> StepRecord:
        now = self._now()
        return StepRecord(
            key=f"{MARK}{change_id}",
            name=change_id,
            kind=StepKind.PATCHED,
            branch=scope.path,
            input=None,
            result="true" if answer else "false",
            error=None,
            attempts=1,
            started_at=now,
            ended_at=now,
        )


def followed(mark: StepRecord) -> bool:
    return mark.result == "true"


def branch_of(key: str) -> str:
    """The path of the branch that the step of this key is in."""
    found = _BRANCH.search(key)
    return found[1] if found else ""


def _number_below(scope: Scope, path: str) -> int:
    """By which of the scope's branches the path leads; 0 when it does not lead below the scope."""
    if not path or (scope.path and not path.startswith(f"{scope.path}.")):
        return 0
    below = path[len(scope.path) + 1 :] if scope.path else path
    return int(below.partition(".")[0])
