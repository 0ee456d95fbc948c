"""The client for plain code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Unpack

import httpx

from workflows_app.client import dead_letters, events, runs, schedules, triggering
from workflows_app.client.backoff import Backoff
from workflows_app.client.connection import Connection
from workflows_app.client.dead_letters import DeadLetter, DeadLetterPage, Successors
from workflows_app.client.events import EventWaiter, Notified
from workflows_app.client.filters import DeadLetterFilter, RunFilter
from workflows_app.client.options import RunOptions, ScheduleOptions, SuccessorOptions
from workflows_app.client.run_logs import RunLog, RunPage
from workflows_app.client.schedules import Schedule
from workflows_app.client.sync_shell import Closing, Shell
from workflows_app.client.triggering import Trigger
from workflows_app.protocol.runs import TriggeredRun


class Client(Closing):
    """Starts and watches the runs of one account of one server.

    `base_url` and `token` are read from QSTASH_URL and QSTASH_TOKEN unless they are given. A
    workflow is named by its URL, or by its name below `serve_url`, which is `{base_url}/serve`
    unless it is given. `timeout` is for each wait on the server. Threads may share a client.

    Every verb raises ClientError when the server refuses or cannot be asked, and InvalidInput for
    what cannot be sent.
    """

    def __init__(  # noqa: PLR0913 - one keyword per option
        self,
        base_url: str | None = None,
        token: str | None = None,
        *,
        serve_url: str | None = None,
        timeout: timedelta | str = "30s",
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        connection = Connection.of(base_url, token, serve_url)
        self._shell = shell = Shell(connection, backoff, timeout, transport)
        self._api, self._perform = shell.api, shell.perform
        self.dlq = DeadLetters(shell)
        self.schedules = Schedules(shell)

    def trigger(
        self, workflow: str, body: Any = None, **options: Unpack[RunOptions]
    ) -> TriggeredRun:
        """Start a run. The body is sent as JSON, bytes as they are.

        With the id of a live run nothing is started, and that run is returned with `deduplicated`
        set. Raises AnswerLost when it is not known whether the run was started.
        """
        wanted = Trigger(workflow, body, **options)
        return self._perform(triggering.trigger(self._api, wanted))

    def trigger_many(self, triggers: Iterable[Trigger]) -> tuple[TriggeredRun, ...]:
        """Start a run for each, all or none; in their order."""
        return self._perform(triggering.trigger_many(self._api, triggers))

    def pause(self, run_id: str) -> str:
        """Have nothing of the run start until it is resumed; a step in flight goes on to its end,
        and until then it is "pausing", then "paused".
        """
        return self._perform(runs.pause(self._api, run_id))

    def resume(self, run_id: str) -> str:
        """Have a paused run go on; in which state it is then, such as "queued" or "waiting"."""
        return self._perform(runs.resume(self._api, run_id))

    def cancel(self, run_ids: str | Iterable[str]) -> int:
        """Cancel one run or several; how many of them were live."""
        return self._perform(runs.cancel(self._api, run_ids))

    def cancel_where(self, where: RunFilter) -> int:
        """Cancel all live runs that the filter matches; how many there were."""
        return self._perform(runs.cancel_where(self._api, where))

    def cancel_all(self) -> int:
        """Cancel all live runs of the account; how many there were."""
        return self._perform(runs.cancel_all(self._api))

    def restart(
        self, run_id: str, step: str | None = None, *, count: int = 1, kind: str = "work"
    ) -> str:
        """Have the run begin again under its id, whether it has ended or not: whole, or from this
        step; its state then. Which of several steps, and of which kind, is as in
        `RunHandle.restart`. Raises NotOnServer, and RequestRefused for another step.
        """
        return self._perform(runs.restart(self._api, run_id, step, count, kind))

    def logs(
        self,
        where: RunFilter = runs.EVERY_RUN,
        *,
        cursor: str | None = None,
        count: int | None = None,
    ) -> RunPage:
        """A page of runs with their steps, newest first; the server gives ten at most."""
        return self._perform(runs.list_runs(self._api, where, cursor, count))

    def iter_logs(self, where: RunFilter = runs.EVERY_RUN) -> Iterator[RunLog]:
        """The runs of all pages; each page is asked for when it is needed."""
        page = self.logs(where)
        yield from page.runs
        while page.cursor is not None:
            page = self.logs(where, cursor=page.cursor)
            yield from page.runs

    def get_run(self, run_id: str) -> RunLog:
        """The newest run of this id, with its steps. Raises NotOnServer."""
        return self._perform(runs.get_run(self._api, run_id))

    def notify(
        self, event_id: str, event_data: Any = None, *, workflow_run_id: str | None = None
    ) -> tuple[Notified, ...]:
        """Send an event to all that wait for it, or to one run, for which it is kept."""
        return self._perform(events.notify(self._api, event_id, event_data, workflow_run_id))

    def get_waiters(self, event_id: str) -> tuple[EventWaiter, ...]:
        return self._perform(events.get_waiters(self._api, event_id))


class DeadLetters:
    """The verbs of `client.dlq`."""

    def __init__(self, shell: Shell) -> None:
        self._api, self._perform = shell.api, shell.perform

    def list(
        self,
        where: DeadLetterFilter = dead_letters.EVERY_ENTRY,
        *,
        cursor: str | None = None,
        count: int | None = None,
    ) -> DeadLetterPage:
        """A page of entries, newest first; the server gives 100 at most."""
        return self._perform(dead_letters.list_entries(self._api, where, cursor, count))

    def iter(self, where: DeadLetterFilter = dead_letters.EVERY_ENTRY) -> Iterator[DeadLetter]:
        """The entries of all pages; each page is asked for when it is needed."""
        page = self.list(where)
        yield from page.entries
        while page.cursor is not None:
            page = self.list(where, cursor=page.cursor)
            yield from page.entries

    def get(self, dlq_id: str) -> DeadLetter:
        """Raises NotOnServer."""
        return self._perform(dead_letters.get_entry(self._api, dlq_id))

    def resume(self, dlq_id: str, **options: Unpack[SuccessorOptions]) -> TriggeredRun:
        """Start a run that goes on where the failed one stopped."""
        return self._perform(dead_letters.succeed(self._api, "resume", dlq_id, options))

    def resume_many(
        self, dlq_ids: Iterable[str], **options: Unpack[SuccessorOptions]
    ) -> tuple[TriggeredRun, ...]:
        """All of them or none; the server takes 50 at most."""
        return self._perform(dead_letters.succeed_many(self._api, "resume", dlq_ids, options))

    def resume_where(
        self, where: DeadLetterFilter, **options: Unpack[SuccessorOptions]
    ) -> Successors:
        """As many of those that the filter matches as the server takes at once: 50."""
        return self._perform(dead_letters.succeed_where(self._api, "resume", where, options))

    def resume_all(self, **options: Unpack[SuccessorOptions]) -> Successors:
        """As many as the server takes at once: 50."""
        return self._perform(dead_letters.succeed_all(self._api, "resume", options))

    def restart(self, dlq_id: str, **options: Unpack[SuccessorOptions]) -> TriggeredRun:
        """Start a run with the payload of the failed one, without its steps."""
        return self._perform(dead_letters.succeed(self._api, "restart", dlq_id, options))

    def restart_many(
        self, dlq_ids: Iterable[str], **options: Unpack[SuccessorOptions]
    ) -> tuple[TriggeredRun, ...]:
        """As `resume_many`."""
        return self._perform(dead_letters.succeed_many(self._api, "restart", dlq_ids, options))

    def restart_where(
        self, where: DeadLetterFilter, **options: Unpack[SuccessorOptions]
    ) -> Successors:
        """As `resume_where`."""
        return self._perform(dead_letters.succeed_where(self._api, "restart", where, options))

    def restart_all(self, **options: Unpack[SuccessorOptions]) -> Successors:
        """As `resume_all`."""
        return self._perform(dead_letters.succeed_all(self._api, "restart", options))

    def delete(self, dlq_ids: str | Iterable[str]) -> int:
        """Delete one entry or several; how many there were. Their runs stay, as failed."""
        return self._perform(dead_letters.delete(self._api, dlq_ids))

    def delete_where(self, where: DeadLetterFilter) -> int:
        return self._perform(dead_letters.delete_where(self._api, where))

    def delete_all(self) -> int:
        return self._perform(dead_letters.delete_all(self._api))

    def retry_failure_function(self, dlq_id: str) -> None:
        """Tell the failure function, or the failure URL, again, after telling it had failed."""
        self._perform(dead_letters.retry_failure_function(self._api, dlq_id))

    def retry_failure_function_many(self, dlq_ids: Iterable[str]) -> None:
        """One after the other, up to the first that is refused."""
        self._perform(dead_letters.retry_failure_function_many(self._api, dlq_ids))


class Schedules:
    """The verbs of `client.schedules`."""

    def __init__(self, shell: Shell) -> None:
        self._api, self._perform = shell.api, shell.perform

    def create(
        self, workflow: str, cron: str, body: Any = None, **options: Unpack[ScheduleOptions]
    ) -> str:
        """Start a run at each time of the cron expression, or send a message to any other URL; the
        schedule's id.
        """
        return self._perform(schedules.create(self._api, workflow, cron, body, options))

    def list(self) -> tuple[Schedule, ...]:
        return self._perform(schedules.list_schedules(self._api))

    def get(self, schedule_id: str) -> Schedule:
        """Raises NotOnServer."""
        return self._perform(schedules.get_schedule(self._api, schedule_id))

    def pause(self, schedule_id: str) -> None:
        """Its times pass by until it is resumed."""
        self._perform(schedules.switch(self._api, schedule_id, "pause"))

    def resume(self, schedule_id: str) -> None:
        self._perform(schedules.switch(self._api, schedule_id, "resume"))

    def delete(self, schedule_id: str) -> None:
        """What it has published is delivered."""
        self._perform(schedules.delete(self._api, schedule_id))
