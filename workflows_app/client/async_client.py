"""The client for code that awaits: the verbs of `client.py`, with `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, Unpack

import httpx

from workflows_app.client import dead_letters, events, runs, schedules, triggering
from workflows_app.client.async_shell import AsyncClosing, AsyncShell
from workflows_app.client.backoff import Backoff
from workflows_app.client.connection import Connection
from workflows_app.client.dead_letters import DeadLetter, DeadLetterPage, Successors
from workflows_app.client.events import EventWaiter, Notified
from workflows_app.client.filters import DeadLetterFilter, RunFilter
from workflows_app.client.options import RunOptions, ScheduleOptions, SuccessorOptions
from workflows_app.client.run_logs import RunLog, RunPage
from workflows_app.client.schedules import Schedule
from workflows_app.client.triggering import Trigger
from workflows_app.protocol.runs import TriggeredRun


class AsyncClient(AsyncClosing):
    """`Client`, whose verbs are awaited. One event loop alone may use it."""

    def __init__(  # noqa: PLR0913 - one keyword per option
        self,
        base_url: str | None = None,
        token: str | None = None,
        *,
        serve_url: str | None = None,
        timeout: timedelta | str = "30s",
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        connection = Connection.of(base_url, token, serve_url)
        self._shell = shell = AsyncShell(connection, backoff, timeout, transport)
        self._api, self._perform = shell.api, shell.perform
        self.dlq = AsyncDeadLetters(shell)
        self.schedules = AsyncSchedules(shell)

    async def trigger(
        self, workflow: str, body: Any = None, **options: Unpack[RunOptions]
    ) -> TriggeredRun:
        wanted = Trigger(workflow, body, **options)
        return await self._perform(triggering.trigger(self._api, wanted))

    async def trigger_many(self, triggers: Iterable[Trigger]) -> tuple[TriggeredRun, ...]:
        return await self._perform(triggering.trigger_many(self._api, triggers))

    async def pause(self, run_id: str) -> str:
        return await self._perform(runs.pause(self._api, run_id))

    async def resume(self, run_id: str) -> str:
        return await self._perform(runs.resume(self._api, run_id))

    async def cancel(self, run_ids: str | Iterable[str]) -> int:
        return await self._perform(runs.cancel(self._api, run_ids))

    async def restart(
        self, run_id: str, step: str | None = None, *, count: int = 1, kind: str = "work"
    ) -> str:
        return await self._perform(runs.restart(self._api, run_id, step, count, kind))

    async def cancel_where(self, where: RunFilter) -> int:
        return await self._perform(runs.cancel_where(self._api, where))

    async def cancel_all(self) -> int:
        return await self._perform(runs.cancel_all(self._api))

    async def logs(
        self,
        where: RunFilter = runs.EVERY_RUN,
        *,
        cursor: str | None = None,
        count: int | None = None,
    ) -> RunPage:
        return await self._perform(runs.list_runs(self._api, where, cursor, count))

    async def iter_logs(self, where: RunFilter = runs.EVERY_RUN) -> AsyncIterator[RunLog]:
        page = await self.logs(where)
        for each in page.runs:
            yield each
        while page.cursor is not None:
            page = await self.logs(where, cursor=page.cursor)
            for each in page.runs:
                yield each

    async def get_run(self, run_id: str) -> RunLog:
        return await self._perform(runs.get_run(self._api, run_id))

    async def notify(
        self, event_id: str, event_data: Any = None, *, workflow_run_id: str | None = None
    ) -> tuple[Notified, ...]:
        return await self._perform(events.notify(self._api, event_id, event_data, workflow_run_id))

    async def get_waiters(self, event_id: str) -> tuple[EventWaiter, ...]:
        return await self._perform(events.get_waiters(self._api, event_id))


class AsyncDeadLetters:
    """The verbs of `client.dlq`."""

    def __init__(self, shell: AsyncShell) -> None:
        self._api, self._perform = shell.api, shell.perform

    async def list(
        self,
        where: DeadLetterFilter = dead_letters.EVERY_ENTRY,
        *,
        cursor: str | None = None,
        count: int | None = None,
    ) -> DeadLetterPage:
        return await self._perform(dead_letters.list_entries(self._api, where, cursor, count))

    async def iter(
        self, where: DeadLetterFilter = dead_letters.EVERY_ENTRY
    ) -> AsyncIterator[DeadLetter]:
        page = await self.list(where)
        for each in page.entries:
            yield each
        while page.cursor is not None:
            page = await self.list(where, cursor=page.cursor)
            for each in page.entries:
                yield each

    async def get(self, dlq_id: str) -> DeadLetter:
        return await self._perform(dead_letters.get_entry(self._api, dlq_id))

    async def resume(self, dlq_id: str, **options: Unpack[SuccessorOptions]) -> TriggeredRun:
        return await self._perform(dead_letters.succeed(self._api, "resume", dlq_id, options))

    async def resume_many(
        self, dlq_ids: Iterable[str], **options: Unpack[SuccessorOptions]
    ) -> tuple[TriggeredRun, ...]:
        return await self._perform(dead_letters.succeed_many(self._api, "resume", dlq_ids, options))

    async def resume_where(
        self, where: DeadLetterFilter, **options: Unpack[SuccessorOptions]
    ) -> Successors:
        return await self._perform(dead_letters.succeed_where(self._api, "resume", where, options))

    async def resume_all(self, **options: Unpack[SuccessorOptions]) -> Successors:
        return await self._perform(dead_letters.succeed_all(self._api, "resume", options))

    async def restart(self, dlq_id: str, **options: Unpack[SuccessorOptions]) -> TriggeredRun:
        return await self._perform(dead_letters.succeed(self._api, "restart", dlq_id, options))

    async def restart_many(
        self, dlq_ids: Iterable[str], **options: Unpack[SuccessorOptions]
    ) -> tuple[TriggeredRun, ...]:
        return await self._perform(
            dead_letters.succeed_many(self._api, "restart", dlq_ids, options)
        )

    async def restart_where(
        self, where: DeadLetterFilter, **options: Unpack[SuccessorOptions]
    ) -> Successors:
        return await self._perform(dead_letters.succeed_where(self._api, "restart", where, options))

    async def restart_all(self, **options: Unpack[SuccessorOptions]) -> Successors:
        return await self._perform(dead_letters.succeed_all(self._api, "restart", options))

    async def delete(self, dlq_ids: str | Iterable[str]) -> int:
        return await self._perform(dead_letters.delete(self._api, dlq_ids))

    async def delete_where(self, where: DeadLetterFilter) -> int:
        return await self._perform(dead_letters.delete_where(self._api, where))

    async def delete_all(self) -> int:
        return await self._perform(dead_letters.delete_all(self._api))

    async def retry_failure_function(self, dlq_id: str) -> None:
        await self._perform(dead_letters.retry_failure_function(self._api, dlq_id))

    async def retry_failure_function_many(self, dlq_ids: Iterable[str]) -> None:
        await self._perform(dead_letters.retry_failure_function_many(self._api, dlq_ids))


class AsyncSchedules:
    """The verbs of `client.schedules`."""

    def __init__(self, shell: AsyncShell) -> None:
        self._api, self._perform = shell.api, shell.perform

    async def create(
        self, workflow: str, cron: str, body: Any = None, **options: Unpack[ScheduleOptions]
    ) -> str:
        return await self._perform(schedules.create(self._api, workflow, cron, body, options))

    async def list(self) -> tuple[Schedule, ...]:
        return await self._perform(schedules.list_schedules(self._api))

    async def get(self, schedule_id: str) -> Schedule:
        return await self._perform(schedules.get_schedule(self._api, schedule_id))

    async def pause(self, schedule_id: str) -> None:
        await self._perform(schedules.switch(self._api, schedule_id, "pause"))

    async def resume(self, schedule_id: str) -> None:
        await self._perform(schedules.switch(self._api, schedule_id, "resume"))

    async def delete(self, schedule_id: str) -> None:
        await self._perform(schedules.delete(self._api, schedule_id))
