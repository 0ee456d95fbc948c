"""Driving an async workflow function: as far as it goes, until it ends or has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from workflows_app.sdk.awaiting import CALLED
from workflows_app.sdk.base_context import current_step
from workflows_app.sdk.interrupts import Suspend, ordinary_errors
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.traffic import (
    GRACE,
    QUIET_ROUNDS,
    Traffic,
    async_scope,
    this_task,
    with_scope,
)


class Driver:
    """Of one turn of one run; the event loop that it is used in does nothing else."""

    def __init__(self, replay: Replay, traffic: Traffic) -> None:
        self._replay = replay
        self._traffic = traffic

    async def drive(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Run the function until it returns, raises, or nothing in it can move; then raises
        Suspend.
        """
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._new_task)
        root = loop.create_task(_call(function), context=with_scope(self._replay.root))
        root.add_done_callback(lambda _: self._traffic.stirred.set())
        try:
            while (
                not root.done() and self._traffic.interrupt is None and not await self._quiet(root)
            ):
                await self._traffic.stirred.wait()
                self._traffic.stirred.clear()
            if self._traffic.interrupt is not None:
                if self._traffic.interrupt.lets_steps_end:
                    await self._traffic.let_steps_end()
                raise self._traffic.interrupt
            if not root.done():
                raise Suspend
            if self._replay.root.replays:
                await self._traffic.settle_down(self._traffic.branches)
            if self._traffic.has_left_branches:
                self._replay.leave_branches()
            return self._result_of(root)
        finally:
            self._traffic.calls.end()
            await self._abandon(root)
            self._traffic.calls.close()

    def _result_of(self, root: asyncio.Task[Any]) -> Any:
        error = root.exception()
        # What was not awaited has been used as if it had been.
        if error is None or CALLED in str(error):
            self._traffic.calls.check()
        return root.result()

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        """Tasks that the function creates are branches, numbered before they compete."""
        if "context" in options or current_step.get() is not None or async_scope.get(None) is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        scope = self._replay.branch(async_scope.get())
        if self._replay.root.replays:
            coroutine = self._traffic.failing_last(coroutine)
        task = asyncio.Task(coroutine, loop=loop, context=with_scope(scope), **options)
        self._traffic.branches[task] = scope
        return task

    async def _quiet(self, root: asyncio.Task[Any]) -> bool:
        """Whether something is parked and nothing else moves."""
        traffic = self._traffic
        if not traffic.parked or traffic.busy:
            return False
        moves = traffic.moves
        for _ in range(QUIET_ROUNDS):
            await asyncio.sleep(0)
        if asyncio.all_tasks() - traffic.parked - {root, this_task()}:
            await asyncio.sleep(GRACE)
        return traffic.still(moves) and not root.done()

    async def _abandon(self, root: asyncio.Task[Any]) -> None:
        tasks = asyncio.all_tasks() - {this_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(root, *tasks, return_exceptions=True)


async def _call(function: Callable[[], Awaitable[Any]]) -> Any:
    with ordinary_errors:
        return await function()
