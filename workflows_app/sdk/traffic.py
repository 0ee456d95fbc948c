"""What the tasks of an asynchronous workflow are doing, and in which scope each is."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from workflows_app.protocol.runs import FailedAttempt, StepRecord
from workflows_app.sdk.awaiting import Calls
from workflows_app.sdk.branches import MAX_THREADS
from workflows_app.sdk.interrupts import Interrupt, Suspend
from workflows_app.sdk.scopes import Scope

QUIET_ROUNDS = 20
"""Rounds of the event loop without a step, after which nothing is on its way to one."""
GRACE = 0.01
"""Seconds that a task may spend on something which is not a step before the turn ends without it.
"""

async_scope: contextvars.ContextVar[Scope] = contextvars.ContextVar("workflows_async_scope")


class Traffic:
    """What the tasks of one run are doing; shared by all copies of its context."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.busy = 0
        self.moves = 0
        self.parked: set[asyncio.Task[Any]] = set()
        self.executing: set[asyncio.Task[Any]] = set()
        self.branches: dict[asyncio.Task[Any], Scope] = {}
        self.stirred = asyncio.Event()
        self.interrupt: Interrupt | None = None
        self.threads = asyncio.Semaphore(MAX_THREADS)
        self.pending: list[tuple[list[StepRecord], list[FailedAttempt], asyncio.Future[Any]]] = []
        self.flusher: asyncio.Task[None] | None = None

    async def park(self) -> NoReturn:
        task = this_task()
        self.parked.add(task)
        self.stirred.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.parked.discard(task)
        raise Suspend

    def still(self, moves: int) -> bool:
        """Whether nothing is at work, nor has asked for a step since there were `moves`."""
        return bool(self.parked) and not self.busy and self.moves == moves

    def move(self) -> None:
        """Whoever found that all was still is to look again."""
        self.moves += 1
        self.stirred.set()

    def leave(self) -> None:
        self.busy -= 1
        self.move()

    @contextmanager
    def execution(self) -> Iterator[None]:
        """Of a step, by this task."""
        task = this_task()
        self.executing.add(task)
        self.busy += 1
        try:
            yield
        finally:
            self.executing.discard(task)
            self.leave()

    async def let_steps_end(self) -> None:
        """Those that are in flight; whoever has recorded one is parked."""
        while self.executing - self.parked:
            self.stirred.clear()
            await self.stirred.wait()

    async def settle_down(
        self, tasks: Collection[asyncio.Task[Any]], quiet_rounds: int = QUIET_ROUNDS
    ) -> None:
        """Let the tasks come as far as they can without anything being worked on."""
        moves, rounds = self.moves, 0
        while rounds < quiet_rounds and any(task not in self.parked for task in tasks):
            await asyncio.sleep(0)
            rounds = rounds + 1 if self.moves == moves else 0
            moves = self.moves

    async def failing_last(self, branch: Coroutine[Any, Any, Any]) -> Any:
        """A branch that fails only when the others have come as far as they can: whoever waits for
        it may then give them up.
        """
        try:
            return await branch
        except Exception:
            # Sooner than whoever lets all settle down, and heard by it.
            await self.settle_down(self.branches, QUIET_ROUNDS // 2)
            self.move()
            raise

    @property
    def has_left_branches(self) -> bool:
        """Whether tasks have not come to their end, for another reason than that of a race."""
        return any(
            (not task.done() or task.cancelled()) and not scope.replays and not scope.is_out
            for task, scope in self.branches.items()
        )


def with_scope(scope: Scope) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(async_scope.set, scope)
    return context


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - only called in coroutines, which tasks run
    return task
