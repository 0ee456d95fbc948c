"""Parallel branches of a synchronous workflow: threads that work, and one that writes.

The run's own thread waits for the branches and, while it waits, does what they need done on it:
results that several branches have ready at once are stored together.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from workflows_app.protocol.runs import FailedAttempt, StepRecord

T = TypeVar("T")

MAX_THREADS = 32
"""Branches beyond this number wait for a thread; more would only cost memory."""

Store = Callable[[list[StepRecord], list[FailedAttempt]], dict[str, StepRecord]]


class _Job:
    """Something to be done on the run's own thread, and the branch that waits for it."""

    __slots__ = ("attempts", "done", "error", "function", "result", "steps")

    def __init__(
        self,
        steps: list[StepRecord],
        attempts: list[FailedAttempt],
        function: Callable[[], Any] | None,
    ) -> None:
        self.steps = steps
        self.attempts = attempts
        self.function = function
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None


class Branches:
    """One per run and turn; made by the run's own thread."""

    def __init__(self, thread_ends: Callable[[], None]) -> None:
        self._owner = threading.get_ident()
        self._thread_ends = thread_ends
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._store: Store | None = None

    # -- called by branches

    def store(
        self, store: Store, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        if threading.get_ident() == self._owner:
            return store(steps, attempts)
        self._store = store
        stood: dict[str, StepRecord] = self._hand_over(_Job(steps, attempts, None))
        return stood

    def on_own_thread(self, function: Callable[[], T]) -> T:
        if threading.get_ident() == self._owner:
            return function()
        context = contextvars.copy_context()
        result: T = self._hand_over(_Job([], [], lambda: context.run(function)))
        return result

    def _hand_over(self, job: _Job) -> Any:
        self._inbox.put(job)
        job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result

    # -- called by whoever opens branches

    def run(
        self, branches: Sequence[Callable[[], Any]], *, inline: bool
    ) -> list[tuple[Any, BaseException | None]]:
        """The result or exception of each branch, once all of them have one."""
        results: list[tuple[Any, BaseException | None]] = [(None, None)] * len(branches)

        def work_on(index: int) -> None:
            try:
                results[index] = (branches[index](), None)
            except BaseException as error:  # noqa: BLE001 - handed to the joining function
                results[index] = (None, error)

        if inline or len(branches) < 2:
            for index in range(len(branches)):
                work_on(index)
        else:
            self._run_in_threads(work_on, len(branches))
        return results

    def _run_in_threads(self, work_on: Callable[[int], None], count: int) -> None:
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in range(count):
            todo.put(index)
        nested = threading.get_ident() != self._owner
        ended: queue.SimpleQueue[_Job | None] = queue.SimpleQueue() if nested else self._inbox

        def work() -> None:
            try:
                while True:
                    work_on(todo.get_nowait())
            except queue.Empty:
                pass
            finally:
                self._thread_ends()
                ended.put(None)

        threads = min(count, MAX_THREADS)
        for _ in range(threads):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(work,), daemon=True).start()
        while threads:
            jobs, threads = _take_all(ended, threads)
            self._serve(jobs)

    def _serve(self, jobs: list[_Job]) -> None:
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


def _take_all(inbox: queue.SimpleQueue[_Job | None], threads: int) -> tuple[list[_Job], int]:
    """Wait for news, then take all there is: the jobs, and how many threads still work."""
    jobs: list[_Job] = []
    news = inbox.get()
    while True:
        if news is None:
            threads -= 1
        else:
            jobs.append(news)
        try:
            news = inbox.get_nowait()
        except queue.Empty:
            return jobs, threads


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
