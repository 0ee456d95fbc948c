"""The driver of a test: it starts runs, works on them in the test's thread, and moves time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from workflows_app.conf import get_settings
from workflows_app.engine import clock, delivery, leases, pausing, ports, run_moves
from workflows_app.errors import Refused, RunNotFound
from workflows_app.models import Account, Run
from workflows_app.models.runs import RunQuerySet
from workflows_app.protocol.durations import author_duration, parse_moment
from workflows_app.sdk import authoring
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.events import NotifiedRun, Webhook
from workflows_app.testing.crashes import ProcessDied
from workflows_app.testing.runs import RunUnderTest, under_test
from workflows_app.testing.scripting import Scripting, name_of
from workflows_app.testing.transport import ScriptedTransport
from workflows_app.testing.verdicts import Verdict
from workflows_app.testing.webhooks import call_webhook

MOST_DELIVERIES = 10_000
"""At one moment, or moments on the way to an end; what takes more is taken to go on for ever."""


class WorkflowTest(Scripting):
    """Works on runs in this thread, with time that stands still: `with WorkflowTest() as flows:`.

    It begins at the present moment, or at `now`. All that is due is worked on before a method
    returns; what waits goes on once `advance`, `notify` or `deliver_webhook` lets it.
    """

    def __init__(self, *, now: datetime | str | None = None) -> None:
        super().__init__(ScriptedTransport())
        self._begins_at = None if now is None else parse_moment(now)
        self._open = ExitStack()
        self._time = ExitStack()
        self._is_open = False
        self._working = False

    def __enter__(self) -> Self:
        if self._is_open:
            raise Refused("this WorkflowTest is in use already; make another for a block inside it")
        self._open.callback(ports.install_transport, ports.get_transport())
        ports.install_transport(self._transport)
        self._open.callback(self._time.close)
        self._stop_clock_at(self._begins_at or clock.now())
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self._is_open = False
        self._open.close()
        if kind is None:
            self._check_faults_happened()

    # -- runs

    def start(self, workflow: Workflow | str, body: Any = None, **options: Any) -> RunUnderTest:
        """Start a run, with the options of `Workflow.trigger`, and work until nothing is due."""
        __tracebackhide__ = True
        self._check_open()
        named = authoring.get_workflow(workflow) if isinstance(workflow, str) else workflow
        started = self.run(named.trigger(body, **options).workflow_run_id)
        self.work()
        return started

    def run(self, workflow_run_id: str) -> RunUnderTest:
        """The newest run of this id, whoever has started it. Raises RunNotFound."""
        found = self._runs().filter(run_id=workflow_run_id).newest_first().first()
        if found is None:
            raise RunNotFound(f'there is no run with the id "{workflow_run_id}"')
        return under_test(found)

    def runs(self, workflow: Workflow | str | None = None) -> list[RunUnderTest]:
        """All runs, or those of one workflow, in the order in which they were started."""
        runs = self._runs().order_by("pk")
        if workflow is not None:
            runs = runs.filter(workflow=name_of(workflow))
        return list(dict.fromkeys(map(under_test, runs)))

    def cancel(self, run: RunUnderTest) -> None:
        """Cancel a run, as someone does from outside, and work on what that wakes. Raises
        RunEnded.
        """
        self._check_open()
        run_moves.cancel(run.row)
        self.work()

    def pause(self, run: RunUnderTest) -> None:
        """Pause a run, as someone does from outside; one of its steps may do so, too. Raises
        RunEnded.
        """
        self._check_open()
        pausing.pause(run.row)
        self.work()

    def resume(self, run: RunUnderTest) -> None:
        """Have a paused run go on, and work on what is due then. Raises RunEnded."""
        self._check_open()
        pausing.resume(run.row)
        self.work()

    # -- work and time

    @property
    def now(self) -> datetime:
        return clock.now()

    def work(self) -> None:
        """Work until nothing is due; of use after code that starts runs by itself."""
        __tracebackhide__ = True
        self._check_open()
        if self._working:  # called by a step: whoever works on it goes on with the rest
            return
        while self._work_until_nothing_is_due():
            # A worker that has died does not settle; its leases have to run out.
            self.advance(get_settings().LEASE)

    def advance(self, duration: timedelta | str) -> datetime:
        """Move time on by "3d", or a timedelta. What falls due on the way is worked on at its own
        moment. Returns what time it is then.
        """
        __tracebackhide__ = True
        until = clock.now() + author_duration(duration)
        self.work()
        while not self._working and (due := self._next_due()) is not None and due <= until:
            self._stop_clock_at(due)
            self.work()
        self._stop_clock_at(max(until, clock.now()))
        self.work()
        return clock.now()

    def advance_to_end(self, run: RunUnderTest) -> datetime:
        """Move time on until the run has ended: through its sleeps, retries and timeouts.

        Raises AssertionError when it waits for something that time does not bring, or goes on for
        ever.
        """
        __tracebackhide__ = True
        self.work()
        for _ in range(MOST_DELIVERIES):
            due = self._next_due()
            if due is None or not run.row.is_live:
                break
            self.advance(due - clock.now())
        if run.row.is_live:
            raise AssertionError(f"no passing of time ends it: {run!r}")
        return clock.now()

    # -- what comes from outside

    def notify(
        self, event_id: str, event_data: Any = None, *, run: RunUnderTest | str | None = None
    ) -> list[NotifiedRun]:
        """Send an event, to one run if it is named, and work on what it wakes. Who was told."""
        __tracebackhide__ = True
        self._check_open()
        run_id = run.workflow_run_id if isinstance(run, RunUnderTest) else run
        notified = authoring.notify(event_id, event_data, run_id)
        self.work()
        return notified

    def deliver_webhook(
        self,
        to: RunUnderTest | Webhook | str,
        *,
        method: str = "POST",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Call a webhook, as another service does, and work on what it wakes.

        `to` is its URL, what `context.create_webhook` returned, or the run whose one webhook it is.
        `body` is sent as JSON; texts and bytes are sent as they are.
        """
        __tracebackhide__ = True
        self._check_open()
        webhook = to.webhook() if isinstance(to, RunUnderTest) else to
        url = webhook if isinstance(webhook, str) else webhook.webhook_url
        call_webhook(url, method, body, headers or {})
        self.work()

    # -- the engine

    def _work_until_nothing_is_due(self) -> bool:
        """Whether a process has died over it."""
        __tracebackhide__ = True
        self._working, has_died = True, False
        try:
            for _ in range(MOST_DELIVERIES):
                found = leases.claim(1)
                if not found:
                    return has_died
                try:
                    self._deliver(found[0])
                except ProcessDied:
                    has_died = True
        except Verdict as verdict:
            raise AssertionError(str(verdict)) from None
        finally:
            self._working = False
        raise AssertionError(
            f"{MOST_DELIVERIES} deliveries were made at one moment, and more are due: do runs "
            "start or wake each other for ever?"
        )

    def _deliver(self, lease: leases.Lease) -> None:
        self._transport.delivering = lease
        try:
            delivery.deliver(lease)
        finally:
            self._transport.delivering = None

    def _next_due(self) -> datetime | None:
        """When something can be worked on that cannot be now."""
        due = leases.next_due()
        return due if due is not None and due > clock.now() else None

    def _stop_clock_at(self, moment: datetime) -> None:
        self._time.close()
        self._time.enter_context(clock.travel(moment))

    def _check_open(self) -> None:
        if not self._is_open:
            raise Refused('runs are worked on inside the block: "with WorkflowTest() as flows:"')

    @staticmethod
    def _runs() -> RunQuerySet:
        return Run.objects.of(Account.objects.default())
