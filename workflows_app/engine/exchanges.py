"""HTTP exchanges under way, each in a thread that does nothing else and uses no database.

Endpoints that take their time hold such threads, which cost little, and few threads of the crew.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

IDLE_LIMIT = 60.0
"""Seconds after which an idle thread ends."""


class Exchanges:
    """Makes as many exchanges at once as it is given."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._idle = 0

    def make(self, exchange: Callable[[], None]) -> None:
        """Have it called in a thread. It must not raise. Raises RuntimeError when the system has no
        thread to give.
        """
        with self._changed:
            if self._idle <= len(self._waiting):
                # A process that ends does not wait for answers: their leases are given back.
                threading.Thread(target=self._work, name="exchange", daemon=True).start()
            self._waiting.append(exchange)
            self._changed.notify()

    def _work(self) -> None:
        while (exchange := self._next()) is not None:
            exchange()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._waiting:
                self._idle += 1
                came = self._changed.wait(IDLE_LIMIT)
                self._idle -= 1
                if not came and not self._waiting:
                    return None
            return self._waiting.popleft()
