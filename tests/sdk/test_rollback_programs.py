"""Whatever was started is undone once, the latest first, by whichever shell and however cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.sdk.rehearsal import CREATED_AT, Journal, Rehearsal, run_of
from tests.shells import Shell, body_for
from workflows_app import Undo, Workflow, WorkflowNonRetryableError
from workflows_app.errors import LeaseLost
from workflows_app.protocol.runs import (
    Canceled,
    Failed,
    FailedAttempt,
    StepKind,
    StepRecord,
    TurnOutcome,
)
from workflows_app.sdk.replay import Extent

ENDS = ("raises", "rolls back", "fails in a step", "fails in an atomic step")


@dataclass(frozen=True)
class Step:
    name: str
    verb: str
    can_be_undone: bool
    attempts: int
    """How often its undoing is tried."""


@dataclass(frozen=True)
class Program:
    """Groups of steps, those of a group in parallel; then it ends in one of four ways."""

    groups: tuple[tuple[Step, ...], ...]
    end: str


steps = st.builds(
    Step,
    name=st.sampled_from(["a", "b"]),
    verb=st.sampled_from(["run", "atomic"]),
    can_be_undone=st.booleans(),
    attempts=st.sampled_from([1, 1, 2]),
)
programs = st.builds(
    Program,
    groups=st.lists(st.lists(steps, min_size=1, max_size=3).map(tuple), max_size=4).map(tuple),
    end=st.sampled_from(ENDS),
)


class CutJournal(Journal):
    """Ends the turn, once for each entry of the rollback: before that is stored, or after."""

    def __init__(self, *, cut_before: bool) -> None:
        super().__init__()
        self.cut_before = cut_before
        self._cut: set[str] = set()

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        undoing = {step.key for step in steps if step.kind is StepKind.ROLLBACK}
        is_new = bool(undoing - self._cut)
        self._cut |= undoing
        if is_new and self.cut_before:
            raise LeaseLost
        stood = super().record(steps, attempts)
        if is_new:
            raise LeaseLost
        return stood


def fail() -> None:
    raise LookupError


def story_of(program: Program, undone: list[Undo]) -> Callable[[Any], Any]:
    async def take(context: Any, step: Step) -> None:
        def undo(undo: Undo) -> None:
            if context.attempt < step.attempts:
                raise ConnectionError
            undone.append(undo)

        undoable = context.options(rollback=undo, retries=1) if step.can_be_undone else context
        await getattr(undoable, step.verb)(step.name, str.upper, step.name)

    async def story(context: Any) -> None:
        for group in program.groups:
            await context.parallel(*(partial(take, context, step) for step in group))
        undoable = context.options(rollback=undone.append)
        match program.end:
            case "raises":
                raise WorkflowNonRetryableError("stop")
            case "rolls back":
                await context.roll_back("stop")
            case "fails in a step":
                await undoable.run("last", fail)
            case _:
                await undoable.atomic("last", fail)

    return story


def expected(program: Program) -> list[list[str]]:
    """The names of what is undone, a list for each group, whose own order is open."""
    last = [["last"]] if program.end == "fails in a step" else []
    groups = [
        sorted(step.name for step in group if step.can_be_undone)
        for group in reversed(program.groups)
    ]
    return [*last, *groups]


def play(rehearsal: Rehearsal, extent: Extent) -> TurnOutcome:
    for _ in range(100):
        try:
            return rehearsal.play(extent)
        except LeaseLost:
            continue
    raise AssertionError("the run never ends")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.booleans())
def test_what_was_started_is_undone_in_reverse(program: Program, cut_before: bool) -> None:  # noqa: FBT001 - drawn
    clock = Clock(CREATED_AT)
    try:
        for shell in Shell:
            for extent in (Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH):
                clock.stop_at(CREATED_AT)
                undone: list[Undo] = []
                workflow = Workflow(
                    "program",
                    body_for(shell, story_of(program, undone)),
                    retries=None,
                    retry_delay=None,
                    timeout=None,
                    failure_function=None,
                    failure_url=None,
                    flow_control=None,
                    transport=None,
                )
                run = run_of(workflow, retries=0, retry_delay="1000")
                rehearsal = Rehearsal(workflow, clock, run)
                rehearsal.journal = CutJournal(cut_before=cut_before)
                outcome = play(rehearsal, extent)

                assert type(outcome) is (Canceled if program.end == "rolls back" else Failed)
                records = [
                    step for step in rehearsal.journal.steps if step.kind is StepKind.ROLLBACK
                ]
                names = [step.name.removeprefix("undo ") for step in records[1:]]
                for group in expected(program):
                    assert sorted(names[: len(group)]) == group
                    del names[: len(group)]
                assert names == []
                assert {f"{undo.key}@undo" for undo in undone} == {step.key for step in records[1:]}
                assert all(
                    undo.result == (undo.step.upper() if undo.step != "last" else None)
                    for undo in undone
                )
    finally:
        clock.release()
