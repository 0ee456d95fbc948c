"""A run without a server: its journal is kept in memory, and its clock moves when nothing else
does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.conftest import Clock
from tests.places import without_places
from workflows_app import Workflow
from workflows_app.engine import clock as engine_clock
from workflows_app.errors import RollbackAsked, WorkflowsError
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.runs import (
    CallRequest,
    Failed,
    FailedAttempt,
    Failures,
    Finished,
    History,
    RunInfo,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.sdk.base_context import Ports
from workflows_app.sdk.replay import Extent
from workflows_app.sdk.turn import run_turn

CREATED_AT = datetime(2030, 1, 2, 12, tzinfo=UTC)

Respond = Callable[[CallRequest], dict[str, Any]]


def nobody_answers(call: CallRequest) -> dict[str, Any]:
    raise AssertionError(f"no answer to {call.method} {call.url} is scripted")


@dataclass
class Journal:
    """A `Recorder` that keeps what it is given. First results win."""

    steps: list[StepRecord] = field(default_factory=list)
    attempts: list[FailedAttempt] = field(default_factory=list)
    writes: int = 0
    """How often something was stored: what a database would have committed."""
    first_write_takes: float = 0.0
    """Seconds, in which others may become ready."""
    signal_at: int = 0
    """With which write it is found out that the turn is to end otherwise; 0 for never."""
    signal: type[WorkflowsError] = RollbackAsked
    thread: int = field(default_factory=threading.get_ident)
    _by_key: dict[str, StepRecord] = field(default_factory=dict)

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        assert threading.get_ident() == self.thread, "stored outside of the run's own thread"
        if self.writes == 0:
            time.sleep(self.first_write_takes)
        self.writes += 1
        stood = {step.key: self._by_key[step.key] for step in steps if step.key in self._by_key}
        for step in steps:
            if step.key not in stood:
                self.add(step)
        self.attempts += attempts
        if self.writes == self.signal_at:
            raise self.signal
        return stood

    def add(self, step: StepRecord) -> None:
        self.steps.append(step)
        self._by_key[step.key] = step

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        record = execute()
        self.record([record], [])
        return record

    def history(self) -> History:
        failures: dict[str, Failures] = {}
        for attempt in self.attempts:
            first = failures.get(attempt.key) or Failures(
                count=0, retry_at=None, started_at=attempt.started_at, config=attempt.config
            )
            failures[attempt.key] = replace(first, count=attempt.number, retry_at=attempt.retry_at)
        return History(steps=tuple(self.steps), failures=failures)


class Rehearsal:
    """One run of a workflow. `turn` is one delivery of it, `play` all of them."""

    def __init__(self, workflow: Workflow, clock: Clock, run: RunInfo) -> None:
        self.workflow = workflow
        self.clock = clock
        self.run = run
        self.journal = Journal()
        self.respond: Respond = nobody_answers
        self.max_result_bytes = 1_000_000
        self.threads = True
        self.begun: set[str] = set()
        """The keys of steps that the server is at work on."""
        self.turns = 0
        self.thread_ends = 0
        self.observed = ""
        self.roll_back = False
        """Whether someone has asked for that, as the next turn is told."""
        self.is_cut_short = False

    def turn(
        self,
        extent: Extent = Extent.TO_THE_NEXT_WAIT,
        now: Callable[[], datetime] = engine_clock.now,
    ) -> TurnOutcome:
        self.turns += 1
        outcome = run_turn(
            self.workflow,
            self.run,
            replace(
                self.journal.history(),
                observed=self.observed,
                roll_back=self.roll_back,
                is_cut_short=self.is_cut_short,
            ),
            Ports(
                recorder=self.journal,
                threads=self.threads,
                thread_ends=self._thread_ends,
                begun=lambda: self.begun,
            ),
            now=now,
            max_result_bytes=self.max_result_bytes,
            extent=extent,
        )
        if isinstance(outcome, Suspended) and outcome.observed is not None:
            self.observed = outcome.observed
        return outcome

    def play(self, extent: Extent = Extent.TO_THE_NEXT_WAIT) -> TurnOutcome:
        """Turn after turn, with calls answered, waits waited out, and what is invoked returning its
        payload, until the run ends.
        """
        outcome = self.turn(extent)
        while isinstance(outcome, Suspended):
            assert self.turns < 1000, "the run never ends"
            for call in outcome.calls:
                self.answer(call, self.respond(call))
            for each in outcome.invocations:
                self.end(each.key, each.name, each.branch, body=each.run.body.decode())
            if outcome.wake_at and not outcome.calls and not outcome.invocations:
                self.clock.stop_at(max(self.clock.now, outcome.wake_at))
            outcome = self.turn(extent)
        return outcome

    def answer(self, call: CallRequest, result: dict[str, Any]) -> None:
        """Record the answer to a call, as a server does."""
        now = engine_clock.now()
        step = StepRecord(
            key=call.key,
            name=call.name,
            kind=StepKind.CALL,
            branch=call.branch,
            input=None,
            result=encode_json(result),
            error=None,
            attempts=1,
            started_at=now,
            ended_at=now,
        )
        self.journal.add(step)

    def end(self, key: str, name: str = "", branch: str = "", **outcome: Any) -> None:
        """Record the end of a run that was invoked, as a server does."""
        now = engine_clock.now()
        step = StepRecord(
            key=key,
            name=name or key,
            kind=StepKind.INVOKE,
            branch=branch,
            input=None,
            result=encode_json({"isFailed": False, "isCanceled": False, **outcome}),
            error=None,
            attempts=1,
            started_at=now,
            ended_at=now,
        )
        self.journal.add(step)

    def rewrite(self, workflow: Workflow) -> None:
        """Deploy other code while the run is in flight."""
        self.workflow = workflow

    @property
    def recorded(self) -> dict[str, Any]:
        """The result of each step in the journal, by key, in its order."""
        return {step.key: loaded(step.result) for step in self.journal.steps}

    def _thread_ends(self) -> None:
        self.thread_ends += 1


def loaded(text: str | None) -> Any:
    return None if text is None else decode_json(text)


def finished(value: Any) -> Finished:
    """How a turn ends whose function returned `value`."""
    return Finished(result=None if value is None else encode_json(value))


def assert_failed(outcome: object, error_type: str, message: str) -> None:
    """Whatever lines of code the message names."""
    assert isinstance(outcome, Failed)
    error = loaded(outcome.error)
    assert (error["type"], without_places(error["message"])) == (error_type, message)


def run_of(workflow: Workflow, **options: Any) -> RunInfo:
    """A run as the server tells a workflow function about it."""
    defaults: dict[str, Any] = {
        "run_id": "wfr_1",
        "workflow": workflow.name,
        "url": f"https://app.example/serve/{workflow.name}",
        "payload": b"",
        "content_type": "application/json",
        "headers": {},
        "labels": (),
        "retries": 0,
        "retry_delay": "",
        "timeout": None,
        "created_at": CREATED_AT,
    }
    return RunInfo(**{**defaults, **options})
