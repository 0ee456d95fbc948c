"""The journal of a remote run, read as the steps of its program.

The SDKs publish several messages about one step: its plan, the request of a call, its result; and
this server adds the answer to the call. To people all of them are one step, and so is what it waits
for meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.published import PublishedStep, read_number, read_step

START = ""
"""The key of the run's start, and of its delivery."""
CONCURRENT = "Upstash-Workflow-Concurrent"


class Progress(StrEnum):
    DONE = "done"
    UNDER_WAY = "under way"
    RETRYING = "retrying"
    FAILED = "failed"
    """Its delivery failed the run."""
    CANCELED = "canceled"
    """The run ended first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    since: datetime
    deadline: datetime

    def encode(self) -> str:
        """As the input of the step that it ends with."""
        return encode_json({"since": self.since.isoformat(), "deadline": self.deadline.isoformat()})


def read_wait(text: str | None) -> Wait | None:
    """None for the input of another kind of step."""
    said = decode_json(text or "{}")
    if "deadline" not in said:
        return None
    since, deadline = (datetime.fromisoformat(said[name]) for name in ("since", "deadline"))
    return Wait(since=since, deadline=deadline)


@dataclass(kw_only=True)
class ProgramStep:
    """What is known about one step. At least one of its parts is there."""

    number: int
    """As the SDK counts its steps, from 1."""
    plan: Step | None = None
    sent: Step | None = None
    answered: Step | None = None
    result: Step | None = None
    abandoned: Step | None = None
    """Its wait, once the run was canceled."""
    waiter: Waiter | None = None
    invocation: Invocation | None = None

    @property
    def rows(self) -> list[Step]:
        """Its parts in the journal, oldest first."""
        parts = (self.plan, self.sent, self.answered, self.abandoned, self.result)
        return sorted((row for row in parts if row is not None), key=_pk)

    @property
    def newest(self) -> Step | None:
        return self.rows[-1] if self.rows else None

    @property
    def is_waiting(self) -> bool:
        """For an event, or for the end of another run; nothing is owed for it meanwhile."""
        waits = self.waiter is not None or self.invocation is not None
        return waits and self.result is None

    @property
    def began_at(self) -> datetime:
        moments = [row.started_at for row in self.rows]
        if self.wait is not None:
            moments.append(self.wait.since)
        if self.invocation is not None:
            moments.append(self.invocation.created_at)
        return min(moments)

    @cached_property
    def wait(self) -> Wait | None:
        """For an event; also once it has ended."""
        if self.waiter is not None:
            return Wait(since=self.waiter.created_at, deadline=self.waiter.deadline)
        ended = self.result or self.abandoned
        return read_wait(ended.input) if ended is not None else None

    @property
    def name(self) -> str:
        return self.rows[0].name if self.rows else self._said("stepName")

    @property
    def type(self) -> str:
        """As the SDKs call it: "Run", "SleepFor", "Call", ..."""
        for said in (self.said, self.planned):
            if said is not None:
                return said.type
        called = self.sent is not None or self.answered is not None
        return "Call" if called else self._said("stepType")

    @property
    def concurrent(self) -> int:
        """How many steps stand side by side; 1 for one that stands alone."""
        for said in (self.planned, self.said, self._completed):
            if said is not None:
                return said.concurrent
        return read_number(self._callback_headers.get(CONCURRENT, "")) or 1

    @cached_property
    def planned(self) -> PublishedStep | None:
        return read_step(bytes(self.plan.raw or b"")) if self.plan is not None else None

    @cached_property
    def said(self) -> PublishedStep | None:
        """Its result as it was published."""
        return read_step(bytes(self.result.raw or b"")) if self.result is not None else None

    @cached_property
    def _completed(self) -> PublishedStep | None:
        """What it waits for will complete it as this, or would have."""
        if self.abandoned is not None:
            return read_step(bytes(self.abandoned.raw or b""))
        waits = self.waiter or self.invocation
        return read_step(waits.step.encode()) if waits is not None else None

    def _said(self, name: str) -> str:
        said = self._completed
        return str(said.details[name]) if said is not None else ""

    @property
    def event_id(self) -> str:
        """Of the event that it waits for, or has waited for."""
        if self.waiter is not None:
            return self.waiter.event_id
        said = self.said or self._completed
        return "" if said is None else str(said.details.get("waitEventId", ""))

    @property
    def _callback_headers(self) -> Mapping[str, str]:
        asked = decode_json((self.sent and self.sent.input) or "{}")
        callback: Mapping[str, str] = asked.get("callback", {})
        return callback


def _pk(step: Step) -> int:
    return step.pk


def program_of(
    steps: Iterable[Step], waiters: Iterable[Waiter], invocations: Iterable[Invocation]
) -> list[ProgramStep]:
    """In the program's order. `steps` are in the order of the journal.

    What only its SDK understands stands after the steps that came before it.
    """
    found: dict[int, ProgramStep] = {}
    others: list[ProgramStep] = []
    for row in steps:
        number, _, part = row.key.partition(":")
        if not number.isdecimal():
            others.append(ProgramStep(number=max(found, default=0), result=row))
            continue
        setattr(_at(found, int(number)), part or "result", row)
    for waiter in waiters:
        _at(found, int(waiter.key)).waiter = waiter
    for invocation in invocations:
        _at(found, int(invocation.key)).invocation = invocation
    return sorted([*found.values(), *others], key=lambda step: step.number)


def _at(found: dict[int, ProgramStep], number: int) -> ProgramStep:
    return found.setdefault(number, ProgramStep(number=number))


def grouped(program: Sequence[ProgramStep]) -> list[list[ProgramStep]]:
    """Steps that stand side by side together; all others alone. Groups use consecutive numbers
    (Upstash reference 3.3).
    """
    groups: list[list[ProgramStep]] = []
    end = 0
    for step in program:
        if step.concurrent > 1 and step.number < end:
            groups[-1].append(step)
            continue
        end = step.number + step.concurrent if step.concurrent > 1 else 0
        groups.append([step])
    return groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a step, or a delivery whose step nobody knows yet, is getting on."""

    progress: Progress
    message: Message | None = None
    """What is owed for it now."""
    failed: Sequence[Attempt] = ()
    """Unless it is done: the attempts that failed, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A remote run at a moment, with what decides how its steps are getting on."""

    run: Run
    now: datetime
    program: Sequence[ProgramStep]
    owed: Mapping[str, Message]
    """Its deliveries and calls by the keys of the steps they serve."""
    failed: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)
    """By the same keys, oldest first."""

    def standing(self, step: ProgramStep) -> Standing:
        newest = step.newest
        culprit = self.culprit
        if culprit != START and culprit in {row.key for row in step.rows if row is not step.result}:
            return Standing(progress=Progress.FAILED, failed=self.failed.get(culprit, ()))
        progress = self._progress(step)
        if newest is None or step.is_waiting or progress == Progress.DONE:
            return Standing(progress=progress)
        message, failed = self.owed.get(newest.key), self.failed.get(newest.key, ())
        if progress == Progress.UNDER_WAY and message is not None and failed:
            progress = Progress.RETRYING
        return Standing(progress=progress, message=message, failed=failed)

    @cached_property
    def culprit(self) -> str:
        """The key of the message that failed the run; START for the run's start, or for none."""
        return str((self.run.error_info or {}).get("key", START))

    def _progress(self, step: ProgramStep) -> Progress:
        if step.result is not None and step.result.has_ended(self.run, self.now):
            return Progress.DONE
        if self.run.is_live:
            return Progress.UNDER_WAY
        if step.result is None and step.invocation is not None:
            return self._progress_of_child(step.invocation.child)
        return Progress.CANCELED

    def _progress_of_child(self, child: Run) -> Progress:
        """What was invoked goes on when its invoker has ended (Upstash reference 4.10 (6))."""
        if not child.is_live:
            return Progress.DONE
        return Progress.UNDER_WAY if self.run.status == Run.Status.FAILED else Progress.CANCELED

    def upcoming(self) -> list[tuple[Step | None, Standing]]:
        """Deliveries that will bring a step which nobody knows yet; None is the run's start."""
        results = [step.result for step in self.program if step.result is not None]
        elements: list[Step | None] = [None, *sorted(results, key=_pk)]
        match self.run.status:
            case Run.Status.RUNNING:
                return self._to_come(elements)
            case Run.Status.FAILED:
                culprits = [each for each in elements if key_of(each) == self.culprit]
                return self._all(culprits, Progress.FAILED)
            case Run.Status.CANCELED if not self._is_any(Progress.CANCELED):
                return self._all(elements[-1:], Progress.CANCELED)
        return []

    def _to_come(self, elements: Sequence[Step | None]) -> list[tuple[Step | None, Standing]]:
        """Those that are tried again, and the last one when no step is at work."""
        idle = not self._is_any(Progress.UNDER_WAY, Progress.RETRYING)
        shown: list[tuple[Step | None, Standing]] = []
        for element in elements:
            key = key_of(element)
            message, failed = self.owed.get(key), self.failed.get(key, ())
            if message is not None and failed:
                retrying = Standing(progress=Progress.RETRYING, message=message, failed=failed)
                shown.append((element, retrying))
            elif idle and element is elements[-1]:
                shown.append((element, Standing(progress=Progress.UNDER_WAY, message=message)))
        return shown

    def _all(
        self, elements: Iterable[Step | None], progress: Progress
    ) -> list[tuple[Step | None, Standing]]:
        return [
            (each, Standing(progress=progress, failed=self.failed.get(key_of(each), ())))
            for each in elements
        ]

    def _is_any(self, *wanted: Progress) -> bool:
        return any(self.standing(step).progress in wanted for step in self.program)


def key_of(element: Step | None) -> str:
    return START if element is None else element.key
