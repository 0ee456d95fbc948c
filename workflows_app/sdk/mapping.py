"""Which items of a `context.map` may be worked on."""

from __future__ import annotations

from collections.abc import Sequence

from workflows_app.errors import StepMisuse
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope


class Openings:
    """One map in one turn. Not safe to be used by several threads at once.

    Items are opened in their order, and one that waits keeps its opening. So those that are open
    are the first ones of which so many have not ended, whoever is fast and whoever is slow: each
    turn opens at least those that the turn before it had opened.
    """

    def __init__(self, replay: Replay, scopes: Sequence[Scope], concurrency: int | None) -> None:
        self._replay = replay
        self._scopes = scopes
        self.most = concurrency or max(len(scopes), 1)
        self._all_at_once = concurrency is None
        self._next = 0
        self._open = 0
        self._executed = 0
        self._has_failed = False

    def open_next(self) -> int | None:
        """The item to be worked on next; None while there is none, or too many are open."""
        while self._next < len(self._scopes) and self._open < self.most:
            index, self._next = self._next, self._next + 1
            scope = self._scopes[index]
            if self._has_failed and not self._all_at_once and not self._replay.has_begun(scope):
                continue
            # One delivery is to execute no more steps than items are open.
            if self._executed + self._open >= self.most:
                scope.executed += 1
            self._open += 1
            return index
        return None

    def succeed(self, index: int) -> None:
        self._open -= 1
        self._executed += self._scopes[index].has_executed

    def fail(self, index: int) -> None:
        """No other item begins then, unless all were to begin at once."""
        self._has_failed = True
        self.succeed(index)

    @property
    def all_opened(self) -> bool:
        return self._next == len(self._scopes)


def check_concurrency(concurrency: object) -> None:
    """Raises StepMisuse."""
    if concurrency is None:
        return
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise StepMisuse(
            "the concurrency of context.map is how many items are worked on at once, at least 1, "
            f"or None for all of them; not {concurrency!r:.80}"
        )
