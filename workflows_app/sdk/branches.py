"""Parallel branches of a synchronous workflow: threads that work, and one that writes.

The run's own thread waits for the branches and, while it waits, does what they need done on it:
results that several branches have ready at once are stored together.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from workflows_app.protocol.runs import FailedAttempt, StepRecord
from workflows_app.sdk.interrupts import Suspend
from workflows_app.sdk.scopes import Scope

T = TypeVar("T")

MAX_THREADS = 32
"""Branches beyond this number wait for a thread; more would only cost memory."""

Store = Callable[[list[StepRecord], list[FailedAttempt]], dict[str, StepRecord]]


class Group(Protocol):
    """Branches that were opened together, as the threads that work on them see them."""

    width: int
    """How many threads can be of use."""

    def take(self) -> Callable[[], None] | None:
        """What a thread is to do next; it raises nothing. None when there is nothing for it."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more that its threads do is of interest."""


class _Job:
    """Something to be done on the run's own thread, and the branch that waits for it."""

    __slots__ = ("attempts", "done", "error", "function", "result", "scope", "steps")

    def __init__(
        self,
        scope: Scope,
        steps: list[StepRecord],
        attempts: list[FailedAttempt],
        function: Callable[[], Any] | None,
    ) -> None:
        self.scope = scope
        self.steps = steps
        self.attempts = attempts
        self.function = function
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


_News = _Job | Group | None
"""A job; that a thread of the group has ended; that a thread has done something."""


class Branches:
    """One per run and turn; made by the run's own thread."""

    def __init__(self, thread_ends: Callable[[], None]) -> None:
        self._owner = threading.get_ident()
        self._thread_ends = thread_ends
        self._inbox: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._store: Store | None = None
        self.lock = threading.Lock()
        """Held by whoever decides which branches have lost: after that nothing comes of them."""

    @property
    def is_own_thread(self) -> bool:
        """Whether this is the run's own thread."""
        return threading.get_ident() == self._owner

    # -- called by branches

    def store(
        self, scope: Scope, store: Store, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        if threading.get_ident() == self._owner:
            return store(steps, attempts)
        self._store = store
        stood: dict[str, StepRecord] = self._hand_over(_Job(scope, steps, attempts, None))
        return stood

    def on_own_thread(self, scope: Scope, function: Callable[[], T]) -> T:
        if threading.get_ident() == self._owner:
            return function()
        context = contextvars.copy_context()
        result: T = self._hand_over(_Job(scope, [], [], lambda: context.run(function)))
        return result

    def _hand_over(self, job: _Job) -> Any:
        """Raises Suspend for a branch that has lost, for which nobody may be listening."""
        with self.lock:
            if job.scope.is_out:
                raise Suspend
            self._inbox.put(job)
        job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result

    # -- called by whoever opens branches

    def run(self, group: Group, *, inline: bool) -> None:
        """Return when the group is over, or nothing more can be done for it. Threads that are at
        work then go on until they come to a step.
        """
        if inline or group.width < 2:
            while not group.is_over and (work := group.take()) is not None:
                work()
        else:
            self._run_in_threads(group)

    def _run_in_threads(self, group: Group) -> None:
        nested = threading.get_ident() != self._owner
        news: queue.SimpleQueue[_News] = queue.SimpleQueue() if nested else self._inbox

        def work_on() -> None:
            try:
                while not group.is_over and (work := group.take()) is not None:
                    work()
                    news.put(None)
            finally:
                self._thread_ends()
                news.put(group)

        threads = min(group.width, MAX_THREADS)
        for _ in range(threads):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(work_on,), daemon=True).start()
        while threads and not group.is_over:
            found = _take_all(news)
            threads -= sum(each is group for each in found)
            self._serve([each for each in found if isinstance(each, _Job)])
        if not nested:
            self._serve([each for each in _take_what_is_there(news) if isinstance(each, _Job)])

    def _serve(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if job.scope.is_out:
                job.error = Suspend()
                job.done.set()
        jobs = [job for job in jobs if not job.done.is_set()]
        records = [job for job in jobs if job.function is None]
        if records and self._store is not None:
            self._store_together(self._store, records)
        for job in jobs:
            if job.function is not None:
                _complete(job, job.function)

    def _store_together(self, store: Store, jobs: list[_Job]) -> None:
        steps = [step for job in jobs for step in job.steps]
        attempts = [attempt for job in jobs for attempt in job.attempts]
        try:
            stood = store(steps, attempts)
        except Exception as error:  # noqa: BLE001 - raised in each branch
            for job in jobs:
                job.error = error
                job.done.set()
            return
        for job in jobs:
            job.result = stood
            job.done.set()


def _take_all(news: queue.SimpleQueue[_News]) -> list[_News]:
    """Wait for news, then take all there is."""
    return [news.get(), *_take_what_is_there(news)]


def _take_what_is_there(news: queue.SimpleQueue[_News]) -> Iterator[_News]:
    with suppress(queue.Empty):
        while True:
            yield news.get_nowait()


def _complete(job: _Job, function: Callable[[], Any]) -> None:
    try:
        job.result = function()
    except Exception as error:  # noqa: BLE001 - raised in the branch
        job.error = error
    finally:
        job.done.set()


def call_in_thread(function: Callable[[], T], thread_ends: Callable[[], None]) -> asyncio.Future[T]:
    """Call a plain function for a task of the running event loop, which may stop waiting for it.

    The thread is not one of the loop's own, whose end would be waited for with the loop's.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            settle = partial(_set_result, future, context.run(function))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting task
            settle = partial(_set_exception, future, error)
        finally:
            thread_ends()
        with suppress(RuntimeError):  # the loop has ended without waiting
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=work, daemon=True).start()
    return future


def _set_result(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
