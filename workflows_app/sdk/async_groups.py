"""Branches that are opened together, in an asynchronous workflow: race and map.

As `sdk.groups`, with tasks. Those of `asyncio.gather` are the function's own.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import StepRecord
from workflows_app.sdk.interrupts import Interrupt, ordinary_errors
from workflows_app.sdk.mapping import Openings, check_concurrency
from workflows_app.sdk.racing import Race, end_of
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.traffic import Traffic, async_scope

AsyncBranch = Callable[[], Awaitable[Any]]
Store = Callable[[list[StepRecord]], Awaitable[object]]


class AsyncGroups:
    """Of one run in one turn."""

    def __init__(self, replay: Replay, traffic: Traffic, store: Store) -> None:
        self._replay = replay
        self._traffic = traffic
        self._store = store

    # -- map

    async def map(
        self,
        parent: Scope,
        function: Callable[[Any], Awaitable[Any]],
        items: Iterable[Any],
        most: int | None,
    ) -> list[Any]:
        check_concurrency(most)
        works = [partial(function, item) for item in items]
        scopes = [self._replay.branch(parent) for _ in works]
        openings = Openings(self._replay, scopes, most)
        tasks = _Tasks()
        try:
            for _ in works:
                while (index := openings.open_next()) is not None:
                    task = tasks.start(index, _in_branch(scopes[index], works[index]))
                    self._traffic.branches[task] = scopes[index]
                ended = await tasks.next_ended()
                if tasks.has_failed(ended):
                    await self._raise_failure(tasks, scopes)
                openings.succeed(ended)
        except asyncio.CancelledError:
            tasks.cancel()
            raise
        return [tasks.all[index].result() for index in range(len(works))]

    async def _raise_failure(self, tasks: _Tasks, scopes: Sequence[Scope]) -> None:
        """Of several exceptions that which was the first, as what is recorded tells."""
        await self._traffic.settle_down(tasks.under_way)
        failed = [index for index in tasks.all if tasks.has_failed(index)]
        tasks.all[min(failed, key=lambda index: end_of(scopes[index]))].result()

    # -- race

    async def race(self, parent: Scope, race: Race, branches: Sequence[AsyncBranch]) -> Any:
        if race.winner is not None:
            await self._replay_losers(race, branches)
            return await _in_branch(race.scopes[race.winner], branches[race.winner])
        won = await self._look(race, branches)
        if won is None and parent.replays:
            self._replay.unrecorded(parent)
            await self._traffic.park()
        won = won or await self._go_on(race, branches)
        return won.result()

    async def _look(self, race: Race, branches: Sequence[AsyncBranch]) -> asyncio.Task[Any] | None:
        """The branch that has won, if what is recorded tells."""
        looked = race.look()
        if not looked:
            return None
        self._traffic.busy += 1
        tasks = _Tasks()
        try:
            for index in looked:
                tasks.start(index, _in_branch(race.scopes[index], branches[index]))
            await self._traffic.settle_down(tasks.under_way)
            winner = race.first_of(filter(tasks.has_ended, looked))
            tasks.cancel()
            await self._traffic.settle_down(tasks.under_way)
            if winner is None:
                race.go_on(looked)
                return None
            to_record = race.won_by_record(winner)
            if to_record:
                await self._store(to_record)
            return tasks.all[winner]
        finally:
            tasks.cancel()
            self._traffic.leave()

    async def _replay_losers(self, race: Race, branches: Sequence[AsyncBranch]) -> None:
        losers = race.losers_to_replay()
        if losers:
            self._traffic.busy += 1
            tasks = _Tasks()
            try:
                for index in losers:
                    tasks.start(index, _in_branch(race.scopes[index], branches[index]))
                await self._traffic.settle_down(tasks.under_way)
            finally:
                tasks.cancel()
                self._traffic.leave()
        race.leave_losers()

    async def _go_on(self, race: Race, branches: Sequence[AsyncBranch]) -> asyncio.Task[Any]:
        tasks = _Tasks()
        try:
            for index, branch in enumerate(branches):
                tasks.start(index, _in_branch(race.scopes[index], branch))
            winner = await tasks.next_ended()
            to_record = race.won_now(winner)
        finally:
            tasks.cancel()
        self._traffic.busy += 1
        try:
            await self._store(to_record)
        finally:
            self._traffic.leave()
        return tasks.all[winner]


class _Tasks:
    """Those of some branches, by the numbers of these."""

    def __init__(self) -> None:
        self.all: dict[int, asyncio.Task[Any]] = {}
        self.under_way: set[asyncio.Task[Any]] = set()
        self._ended: asyncio.Queue[int] = asyncio.Queue()

    def start(self, index: int, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # With a context of its own, it is no branch that the function has opened by itself.
        own = contextvars.copy_context()
        task = asyncio.get_running_loop().create_task(work, context=own)
        self.all[index] = task
        self.under_way.add(task)
        task.add_done_callback(partial(self._end, index))
        return task

    def _end(self, index: int, task: asyncio.Task[Any]) -> None:
        self.under_way.discard(task)
        if self.has_ended(index):
            self._ended.put_nowait(index)

    async def next_ended(self) -> int:
        return await self._ended.get()

    def has_ended(self, index: int) -> bool:
        """Whether the branch has returned or raised; not, if it has been given up."""
        task = self.all[index]
        given_up = not task.done() or task.cancelled()
        return not given_up and not isinstance(task.exception(), Interrupt)

    def has_failed(self, index: int) -> bool:
        return self.has_ended(index) and self.all[index].exception() is not None

    def cancel(self) -> None:
        for task in list(self.under_way):
            task.cancel()


async def _in_branch(scope: Scope, branch: AsyncBranch) -> Any:
    token = async_scope.set(scope)
    try:
        with ordinary_errors:
            awaited = branch()
            if not inspect.isawaitable(awaited):
                raise StepMisuse(
                    "the functions of context.race and context.map are `async def` in an async "
                    f"workflow, or return something to await; this one returned {awaited!r:.80}"
                )
            return await awaited
    finally:
        async_scope.reset(token)
