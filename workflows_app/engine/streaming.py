"""Answers that go on: what has changed is looked for once a second, and said as it is found.

A process keeps few of them open at a time, and none for longer than `LONGEST`: who reads them comes
again, and is served by whatever process is free then.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.db import Error as AnyDatabaseError

from workflows_app.conf import get_settings
from workflows_app.engine.database import connection
from workflows_app.protocol.server_sent_events import HEARTBEAT, retry

PACE = 1.0
"""Seconds between looks at the database."""
QUIET = 5.0
"""Seconds without a word after which a stream shows that it is alive; so a thread finds out, too,
that nobody reads any more.
"""
LONGEST = 300.0
"""Seconds after which a stream ends, so that no thread is kept for ever."""
COME_AGAIN = 3.0
"""Seconds after which who reads a stream that has ended asks for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look has found."""

    content: bytes = b""
    sign: bytes = HEARTBEAT
    """What shows that the stream is alive when there is nothing to say."""
    is_all: bool = True
    """Whether there is nothing more to be found at once."""
    is_last: bool = False


Look = Callable[[], Seen]


MOST_THREADS, MOST_TASKS = 2, 200
"""Streams of a process that each keep one of its threads at work, or idle; unless the settings say.
"""

logger = logging.getLogger("workflows_app")


class _Open:
    lock = threading.Lock()
    number = 0


def _leave() -> None:
    with _Open.lock:
        _Open.number -= 1


def _enter(most: int) -> bool:
    with _Open.lock:
        if _Open.number >= most:
            return False
        _Open.number += 1
        return True


class _Stream:
    def __init__(self, look: Look) -> None:
        self._look = look
        self._began = self._spoke = time.monotonic()
        self._first = True
        self._over = False
        self._seen_all = False
        # Also of a stream that is dropped before anybody has read it.
        self._leave = weakref.finalize(self, _leave)

    def close(self) -> None:
        self._over = True
        self._leave()

    def _content(self) -> bytes:
        """What is to be said now; it may be nothing."""
        try:
            seen = self._look()
        except AnyDatabaseError:
            logger.warning("a stream ends early: the database refused", exc_info=True)
            seen = Seen(is_last=True)
        self._seen_all = seen.is_all
        content, now = seen.content, time.monotonic()
        if self._first:
            content, self._first = retry(COME_AGAIN) + (content or seen.sign), False
        elif not content and now - self._spoke > QUIET:
            content = seen.sign
        if seen.is_last or now - self._began > LONGEST:
            content = content or seen.sign
            self.close()
        if content:
            self._spoke = now
        return content

    @property
    def _pause(self) -> float:
        return PACE if self._seen_all else 0.0


class ThreadStream(_Stream):
    """Read by a thread, which sleeps between the looks."""

    def __iter__(self) -> ThreadStream:
        return self

    def __next__(self) -> bytes:
        while not self._over:
            if not self._first:
                time.sleep(self._pause)
            if content := self._content():
                return content
        raise StopIteration


class TaskStream(_Stream):
    """Read by a task of an event loop. Between the looks it holds no connection to the database,
    and the thread that Django keeps for each request is idle.
    """

    def __aiter__(self) -> TaskStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._over:
            if not self._first:
                await asyncio.sleep(self._pause)
            if content := await sync_to_async(self._content_alone)():
                return content
        raise StopAsyncIteration

    def _content_alone(self) -> bytes:
        try:
            return self._content()
        finally:
            if not connection().in_atomic_block:
                connection().close()


def open_stream(look: Look, *, is_async: bool) -> ThreadStream | TaskStream | None:
    """None when this process has as many open as it may. Whoever opens one closes it."""
    most = get_settings().STREAMS
    if not _enter((MOST_TASKS if is_async else MOST_THREADS) if most is None else most):
        return None
    return TaskStream(look) if is_async else ThreadStream(look)
