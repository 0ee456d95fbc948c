"""The replay core: names steps, consults the history, decides. Knows neither threads nor await."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from itertools import count
from typing import Any, Protocol, TypeVar

from workflows_app.errors import (
    IncompatibleHistory,
    InvalidInput,
    LimitExceeded,
    StepError,
)
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.branches import paths_above
from workflows_app.protocol.codec import decode_json, decode_value
from workflows_app.protocol.faults import describe_hidden_error, is_cancellation
from workflows_app.protocol.runs import (
    CallRequest,
    EventWait,
    FailedAttempt,
    Failures,
    History,
    InvocationRequest,
    Notification,
    RunInfo,
    RunRequest,
    StepInFlight,
    StepKind,
    StepRecord,
    Suspended,
)
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.sdk import unfit
from workflows_app.sdk.interrupts import Halt, Interrupt, Suspend, Unrecorded
from workflows_app.sdk.kept import misfit
from workflows_app.sdk.outcomes import failed_attempt, outcome_of
from workflows_app.sdk.patches import Known, Patches
from workflows_app.sdk.sagas import Saga
from workflows_app.sdk.scopes import Scope, check_name
from workflows_app.sdk.steps import (
    CALLS_A_FUNCTION,
    Ask,
    SettledPolicy,
    StepOptions,
    settled_policy,
    step_behind,
)

FUNCTION = ""
"""The key of attempts of the function itself, between its steps."""
NO_FAILURES = Failures(count=0, retry_at=None)


class Branched(Protocol):
    """Something that a step of a branch asks for."""

    @property
    def branch(self) -> str: ...


B = TypeVar("B", bound=Branched)


class Extent(Enum):
    """How far a turn may go."""

    TO_THE_NEXT_WAIT = auto()
    ONE_BATCH = auto()
    """One step, or the next step of each parallel branch: what one HTTP delivery executes."""
    RECORDED = auto()
    """No further than what is recorded: every step that has no result yet waits."""


class Recorder(Protocol):
    """The journal, as the SDK sees it."""

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        """Store durably, then return. First results win: what stood before comes back by key.

        Raises LeaseLost when another worker owns the run now; RollbackAsked, with all stored, when
        the run is to be rolled back instead of going on.
        """

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        """Run `execute` and store its record in one transaction. Raises what `execute` raises, and
        what `record` does.
        """


class Replay:
    """One turn of one run.

    Sequential within a scope; scopes may be used from different threads, each by one at a time.
    """

    def __init__(
        self,
        run: RunInfo,
        history: History,
        now: Callable[[], datetime],
        max_result_bytes: int,
        extent: Extent,
    ) -> None:
        self.run = run
        self.now = now
        self._extent = extent
        self._max_result_bytes = max_result_bytes
        self._failures = dict(history.failures)
        self._is_cut_short = history.is_cut_short
        marks = [step for step in history.steps if step.kind is StepKind.PATCHED]
        self._recorded = len(history.steps) - len(marks)
        self._by_branch: dict[str, list[StepRecord]] = {}
        for step in history.steps:
            if step.kind is not StepKind.PATCHED:
                self._by_branch.setdefault(step.branch, []).append(step)
        self._recorded_within = _and_above(self._by_branch)
        acted = [step.branch for step in history.steps if step.kind in CALLS_A_FUNCTION]
        self._acted_within = _and_above(acted)
        self._numbers = count(len(acted) + 1)
        self._scopes: dict[str, Scope] = {}
        self.patches = Patches(marks, self._by_branch, self._scopes, history.failures, now)
        self._lost = self.patches.lost
        self.root = self._scope(None, "")
        self.saga = Saga()
        self.calls: list[CallRequest] = []
        self.invocations: list[InvocationRequest] = []
        self.waits: list[EventWait] = []
        self.notifications: list[Notification] = []
        self._wakes: list[tuple[Scope, datetime]] = []
        self._at_work: dict[str, tuple[Ask, datetime]] = {}
        self.stopped: Interrupt | None = None
        self._left_branches = False
        self.is_over = False
        """Whether the function has returned, raised or been given up."""

    # -- scopes

    def _scope(self, parent: Scope | None, path: str) -> Scope:
        scope = Scope(parent, path, self._by_branch.get(path, []))
        self._scopes[path] = scope
        if parent is not None:
            parent.below[path] = scope
        return scope

    def branch(self, parent: Scope) -> Scope:
        """A new parallel branch. Branches are numbered in the order in which they are opened."""
        parent.branches += 1
        path = f"{parent.path}.{parent.branches}" if parent.path else str(parent.branches)
        return self._scope(parent, path)

    def reopen(self, scope: Scope) -> Scope:
        """The same branch, to be worked on from its beginning."""
        return self._scope(scope.parent, scope.path)

    def has_begun(self, scope: Scope) -> bool:
        """Whether anything of the branch is recorded."""
        return scope.path in self._recorded_within

    def has_acted(self, scope: Scope) -> bool:
        """Whether there may be something in it to be undone."""
        return scope.path in self._acted_within

    def lose(self, scopes: Iterable[Scope]) -> list[tuple[Ask, datetime]]:
        """Nothing more comes of these branches; the steps that they are at, and since when."""
        for scope in scopes:
            scope.has_lost = True
            self._lost.add(scope.path)
        return [at_work for at_work in list(self._at_work.values()) if self._is_out(at_work[0])]

    def _is_out(self, asked: Branched) -> bool:
        return bool(self._lost) and not self._lost.isdisjoint(paths_above(asked.branch))

    def _opened_around(self, path: str) -> dict[str, int]:
        opened: dict[str, int] = {}
        scope: Scope | None = self._scopes[path]
        while scope is not None:
            if scope.branches:
                opened[scope.path] = scope.branches
            scope = scope.parent
        return opened

    def leave_branches(self) -> None:
        """The function ended before its branches did, so they need not ask for all they
        recorded.
        """
        self._left_branches = True

    # -- deciding

    def find(
        self, scope: Scope, name: str, kind: StepKind, options: StepOptions
    ) -> tuple[str, StepRecord | None]:
        """The step's key, and its record if there is one. Raises Halt when the history does not
        fit, StepMisuse for a name or an option that the step cannot have.
        """
        self._check_goes_on(scope)
        check_name(name)
        options.check(name, kind)
        key = scope.next_key(name)
        recorded = self._next_recorded(scope, key, kind)
        if options.rollback is not None:
            self.saga.asked(key, name, kind, options, recorded)
            if key in self._failures:
                self.saga.started(key, self._began(key))
        if self._is_the_end_of(scope, key, kind, recorded):
            raise self.unrecorded(scope)
        return key, recorded

    def _is_the_end_of(
        self, scope: Scope, key: str, kind: StepKind, recorded: StepRecord | None
    ) -> bool:
        """Whether the branch, of which only is to be known what is recorded, ends here."""
        if recorded is not None:
            return is_cancellation(recorded.error)
        if scope.replays and self._is_cut_short:
            self.saga.started(key, self._began(key))
        # Who has won a race may show by what is recorded.
        return scope.replays and kind is not StepKind.RACE

    def _began(self, key: str) -> datetime:
        """When the step's first attempt began; now, if none has."""
        return self._failures.get(key, NO_FAILURES).started_at or self.now()

    def _next_recorded(self, scope: Scope, key: str, kind: StepKind) -> StepRecord | None:
        if scope.position >= len(scope.expected):
            return None
        recorded = scope.expected[scope.position]
        fits = recorded.kind == kind or is_cancellation(recorded.error)
        if recorded.key != key or not fits:
            raise self.stop(Halt(unfit.mismatch(self.run, recorded, key, kind)))
        return scope.take_next()

    def unrecorded(self, scope: Scope) -> Unrecorded:
        """The branch cannot go on by what is recorded."""
        scope.waits = True
        return Unrecorded()

    def end(self, scope: Scope, how: Interrupt) -> Interrupt:
        """End the run; but not by a branch of which only is to be known what is recorded."""
        return self.unrecorded(scope) if scope.replays else self.stop(how)

    def ask_patched(self, scope: Scope, change_id: str) -> Known | None:
        """See `Patches.ask`."""
        self._check_goes_on(scope)
        if scope.replays and not self.patches.is_decided(scope, change_id):
            raise self.unrecorded(scope)
        return self.patches.ask(scope, change_id)

    def _check_goes_on(self, scope: Scope) -> None:
        if self.stopped is not None:
            raise self.stopped
        if scope.waits or scope.is_out:
            raise Suspend

    def kept(self, function: Callable[..., Any], record: StepRecord) -> Any:
        """What the step returned before. Raises StepError when it failed, Halt when its function
        says that it returns something else by now.
        """
        value = self.value_of(record)
        if (difference := misfit(function, value)) is not None:
            raise self.stop(Halt(unfit.other_result(self.run, record, difference)))
        return value

    def value_of(self, record: StepRecord) -> Any:
        """What the step returned. Raises StepError when it failed."""
        if record.error is not None:
            error = decode_json(record.error)
            failure = StepError(
                record.name, error["type"], error["message"], record.attempts, record.key
            )
            failure.opened = self._opened_around(record.branch)
            raise failure
        return None if record.result is None else decode_value(record.result)

    def prepare(
        self, scope: Scope, key: str, name: str, kind: StepKind, options: StepOptions
    ) -> Ask | datetime:
        """The step to execute, or the time at which its next attempt falls due."""
        failures = self._failures.get(key, NO_FAILURES)
        if failures.retry_at is not None and failures.retry_at > self.now():
            return failures.retry_at
        if self._extent is Extent.RECORDED:
            return self.now()
        if self._extent is Extent.ONE_BATCH and (scope.executed or scope.executed_below):
            return self.now()
        self._check_number(name, kind)
        scope.count_execution()
        self.saga.started(key, self._began(key))
        settled = self._settle_policy(options, failures.config)
        ask = Ask(
            key=key,
            name=name,
            kind=kind,
            branch=scope.path,
            policy=settled.policy,
            timeout=settled.timeout,
            attempt=failures.count + 1,
            sensitive=bool(options.sensitive),
            config=settled.config,
            delay=settled.delay,
        )
        self._at_work[key] = (ask, self.now())
        return ask

    def _settle_policy(self, options: StepOptions, stored: str | None) -> SettledPolicy:
        """`stored` is what the step's first attempt was stored with."""
        if options.policy is not None:
            return settled_policy(options.policy, options.delay, stored)
        timeout = self.run.timeout if options.timeout is None else options.timeout
        policy = self.policy(options)
        if not options.differ:
            return SettledPolicy(policy=policy, timeout=timeout, config=None)
        shown = StepPolicy.of(policy.retries, policy.delay_expression, timeout)
        shown = replace(shown, hides_output=bool(options.sensitive))
        return SettledPolicy(policy=policy, timeout=timeout, config=shown.encode())

    def _check_number(self, name: str, kind: StepKind) -> None:
        """A step that was tried before has no record, and so has not been counted."""
        most = self.run.step_limit
        if most is None or kind not in CALLS_A_FUNCTION or next(self._numbers) <= most:
            return
        error = LimitExceeded(
            f'step "{name}" is one more than the {most} that run {self.run.run_id} may have. Raise '
            "the limit of its workflow, or WORKFLOWS['MAX_STEPS']; or have the run continue as new "
            "before, or invoke others."
        )
        raise self.stop(Halt(error))

    def policy(self, options: StepOptions) -> RetryPolicy:
        own = options.retry_delay
        return RetryPolicy(
            retries=self.run.retries if options.retries is None else options.retries,
            delay_expression=self.run.retry_delay if own is None else own.expression,
        )

    # -- outcomes of one step

    def succeeded(
        self, ask: Ask, started_at: datetime, given: str | None, result: str
    ) -> StepRecord:
        self.check_size(f'step "{ask.name}"', result)
        kept = None if result == "null" else result
        return self._ended(outcome_of(ask, started_at, self.now(), given, result=kept))

    def settled(self, steps: Iterable[StepRecord], attempts: Iterable[FailedAttempt]) -> None:
        """Nobody is at work on these: what became of them is stored, or is certain to be."""
        keys = {step.key for step in steps} | {attempt.key for attempt in attempts}
        for key in keys:
            self._at_work.pop(key, None)

    def in_flight(self) -> StepInFlight | None:
        """What is at work; of several steps the one that began first. For other threads to ask."""
        at_work = list(self._at_work.values())
        if not at_work:
            return None
        ask, since = min(at_work, key=lambda each: each[1])
        return StepInFlight(key=ask.key, since=since)

    def check_size(self, returned_by: str, result: str) -> None:
        """Raises InvalidInput for more JSON than a result may have."""
        size = len(result.encode())
        if size > self._max_result_bytes:
            raise InvalidInput(
                f"{returned_by} returned {size} bytes of JSON, more than the "
                f"{self._max_result_bytes} that WORKFLOWS['MAX_RESULT_BYTES'] allows; store the "
                "data elsewhere and return a reference to it"
            )

    def failed(
        self, ask: Ask, started_at: datetime, given: str | None, error: Exception
    ) -> tuple[FailedAttempt, StepRecord | None]:
        """The attempt's entry, and the step's own when no attempt is left."""
        times = started_at, self.now()
        attempt = failed_attempt(ask.key, ask.attempt, ask.policy, *times, error)
        attempt = replace(attempt, config=ask.config)
        if ask.hides_errors:
            attempt = replace(attempt, error=describe_hidden_error(error))
        if attempt.retry_at is None:
            return attempt, self._ended(outcome_of(ask, *times, given, error=attempt.error))
        return attempt, None

    def _ended(self, record: StepRecord) -> StepRecord:
        self.saga.ended(record)
        return record

    def invoke(self, scope: Scope, key: str, name: str, run: RunRequest) -> None:
        """Have the server start the run once this turn ends."""
        self.invocations.append(InvocationRequest(key=key, name=name, branch=scope.path, run=run))

    # -- stopping

    def stop(self, interrupt: Interrupt) -> Interrupt:
        """No step runs after this; whoever asks for one is interrupted again."""
        if self.stopped is None or isinstance(self.stopped, Suspend):
            self.stopped = interrupt
        return interrupt

    def wait(self, scope: Scope, moment: datetime | None) -> None:
        """The scope waits, until `moment` if it is given; the run has to go on at the earliest of
        all.
        """
        scope.waits = True
        if moment is not None and not scope.replays:
            self._wakes.append((scope, moment))

    def suspended(self) -> Suspended:
        wakes = (moment for scope, moment in self._wakes if not scope.is_out)
        return Suspended(
            calls=self._still_in(self.calls),
            invocations=self._still_in(self.invocations),
            waits=self._still_in(self.waits),
            notifications=self._still_in(self.notifications),
            wake_at=min(wakes, default=None),
        )

    def _still_in(self, asked: list[B]) -> tuple[B, ...]:
        return tuple(each for each in asked if not self._is_out(each))

    def function_failed(self, error: Exception, started_at: datetime) -> FailedAttempt:
        """The function itself raised. It is tried again, except where a replay could only raise the
        same.
        """
        policy = self.policy(StepOptions())
        if step_behind(error) is not None:
            policy = RetryPolicy(retries=0)
        number = self.function_attempt
        return failed_attempt(FUNCTION, number, policy, started_at, self.now(), error)

    @property
    def function_attempt(self) -> int:
        """Which attempt of the function itself this turn is, from 1."""
        return self._failures.get(FUNCTION, NO_FAILURES).count + 1

    def check_not_swallowed(self) -> None:
        """Raises the interrupt that the function caught and did not pass on."""
        if self.stopped is not None:
            raise self.stopped
        if self.root.waits:
            raise Suspend

    def check_all_asked(self) -> None:
        """Raises IncompatibleHistory when the function ended without asking for a recorded step."""
        visited = sum(scope.position for scope in self._scopes.values())
        if visited == self._recorded:
            return
        for path, steps in self._by_branch.items():
            if path and (self._left_branches or not self._lost.isdisjoint(paths_above(path))):
                continue
            position = self._scopes[path].position if path in self._scopes else 0
            if position < len(steps):
                raise unfit.never_asked(self.run, steps[position])

    def has_left_out(self) -> bool:
        """Whether the function ended before its branches asked for all that they had begun."""
        asked = {key for scope in list(self._scopes.values()) for key in scope.asked}
        recorded = {step.key for steps in self._by_branch.values() for step in steps}
        return not asked >= recorded | self._failures.keys() - {FUNCTION}

    def unasked(self, scope: Scope) -> IncompatibleHistory | None:
        """What is wrong if the function ends in this branch."""
        left = scope.expected[scope.position :]
        return unfit.never_asked(self.run, left[0]) if left else None


def _and_above(paths: Iterable[str]) -> set[str]:
    return {above for path in set(paths) for above in paths_above(path)}
