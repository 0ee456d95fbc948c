"""Rolling back: which steps are undone, in which order, and how that ends. Knows neither threads
nor await.

What is to be undone is recorded once, before anything is, in an entry of its own. From then on the
run only undoes: each step's undoing is a step too, under the key of the step and `UNDO`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from workflows_app.errors import IncompatibleHistory, RollbackFailed, StepError
from workflows_app.protocol.codec import decode_json, decode_value, encode_json
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import (
    UNDO,
    Canceled,
    Failed,
    History,
    StepKind,
    StepRecord,
    TurnOutcome,
)
from workflows_app.sdk.interrupts import RollBack
from workflows_app.sdk.raised import error_named
from workflows_app.sdk.rollback import RollbackFunction, Undo
from workflows_app.sdk.scopes import MAX_NAME
from workflows_app.sdk.steps import StepOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoable:
    """A step with a rollback function, as far as it has come."""

    key: str
    name: str
    kind: StepKind
    options: StepOptions
    started_at: datetime | None = None
    record: StepRecord | None = None

    @property
    def has_finished(self) -> bool:
        return self.record is not None and self.record.error is None

    @property
    def may_have_acted(self) -> bool:
        """A transaction that did not commit has left nothing behind."""
        return self.has_finished or (
            self.started_at is not None and self.kind is not StepKind.ATOMIC
        )


class Saga:
    """The steps of one turn that can be undone."""

    def __init__(self) -> None:
        self._steps: dict[str, Undoable] = {}

    def asked(
        self, key: str, name: str, kind: StepKind, options: StepOptions, record: StepRecord | None
    ) -> None:
        started_at = None if record is None else record.started_at
        self._steps[key] = Undoable(
            key=key, name=name, kind=kind, options=options, started_at=started_at, record=record
        )

    def started(self, key: str, at: datetime) -> None:
        step = self._steps.get(key)
        if step is not None:
            self._steps[key] = replace(step, started_at=at)

    def ended(self, record: StepRecord) -> None:
        step = self._steps.get(record.key)
        if step is not None:
            self._steps[record.key] = replace(step, record=record)

    def learn(self, other: Saga) -> None:
        """Add the steps that only the other has been asked for."""
        self._steps = {**other._steps, **self._steps}

    def find(self, key: str) -> Undoable | None:
        return self._steps.get(key)

    def to_undo(self) -> tuple[str, ...]:
        """The keys of what was started, the latest first."""
        started = [step for step in self._steps.values() if step.may_have_acted]
        started.sort(key=lambda step: step.started_at)  # type: ignore[arg-type, return-value]  # has started
        return tuple(step.key for step in reversed(started))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What a run has begun to undo. `error` is what failed it; None if this was asked for."""

    keys: tuple[str, ...]
    reason: str = ""
    error: str | None = None
    undone: Mapping[str, StepRecord] = field(default_factory=dict)

    def record(self, now: datetime) -> StepRecord:
        return StepRecord(
            key=UNDO,
            name="rollback",
            kind=StepKind.ROLLBACK,
            branch="",
            input=encode_json(self.reason) if self.reason else None,
            result=encode_json(list(self.keys)),
            error=self.error,
            attempts=1,
            started_at=now,
            ended_at=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoStep:
    """The undoing of one step, to be executed by the policy of that step."""

    key: str
    name: str
    options: StepOptions
    is_atomic: bool
    function: RollbackFunction
    undo: Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUndone:
    """Why a step could not be undone."""

    key: str
    error_type: str
    error_message: str

    def __str__(self) -> str:
        return f'step "{self.key}": {self.error_type}: {self.error_message}'


def is_being_rolled_back(history: History) -> bool:
    return any(step.key == UNDO for step in history.steps)


def parted(history: History) -> tuple[History, Rollback | None]:
    """What the function has recorded, and what has been undone of it, if that has begun."""
    done = {step.key: step for step in history.steps if step.kind is StepKind.ROLLBACK}
    if not done:
        return history, None
    forward = tuple(step for step in history.steps if step.kind is not StepKind.ROLLBACK)
    begun = done.pop(UNDO)
    rollback = Rollback(
        keys=tuple(decode_json(begun.result or "[]")),
        reason=decode_json(begun.input) if begun.input else "",
        error=begun.error,
        undone=done,
    )
    failures = {key: each for key, each in history.failures.items() if not key.endswith(UNDO)}
    return History(steps=forward, failures=failures), rollback


def is_to_be_undone(outcome: TurnOutcome, stopped: BaseException | None) -> bool:
    """Whether a turn that ended like this undoes what was done.

    Code that does not fit the history knows nothing of that: it is put right and resumed.
    """
    match outcome, stopped:
        case Canceled(), RollBack():
            return True
        case Failed(error=error), _:
            return not _is_misfit(error)
    return False


def rollback_after(
    saga: Saga, outcome: TurnOutcome, stopped: BaseException | None
) -> Rollback | None:
    """What is to be undone after a turn that ended so; None if nothing is."""
    match outcome, stopped:
        case Canceled(), RollBack(reason=reason):
            return rollback_of(saga, reason=reason)
        case Failed(error=error), _ if is_to_be_undone(outcome, stopped):
            return rollback_of(saga, error=error)
    return None


def rollback_of(saga: Saga, *, reason: str = "", error: str | None = None) -> Rollback | None:
    """None where there is nothing to undo, nor to be told."""
    keys = saga.to_undo()
    return Rollback(keys=keys, reason=reason, error=error) if keys or reason else None


def _is_misfit(error: str) -> bool:
    return bool(decode_json(error)["type"] == IncompatibleHistory.__name__)


def what_remains(rollback: Rollback, saga: Saga) -> list[UndoStep]:
    """What has not been undone yet, in its order."""
    keys = [key for key in rollback.keys if f"{key}{UNDO}" not in rollback.undone]
    cause = None if rollback.error is None else _cause(rollback.error)
    return [_undo_step(key, saga.find(key), cause) for key in keys]


def _cause(error: str) -> Exception:
    said = decode_json(error)
    return error_named(said["type"], said["message"])


def _undo_step(key: str, step: Undoable | None, cause: Exception | None) -> UndoStep:
    if step is None or step.options.rollback is None:
        return UndoStep(
            key=f"{key}{UNDO}",
            name=f"undo {key}"[:MAX_NAME],
            options=StepOptions(),
            is_atomic=False,
            function=_refuse,
            undo=Undo(step=key, key=key, finished=False, result=None, error=None),
        )
    return UndoStep(
        key=f"{key}{UNDO}",
        name=f"undo {step.name}"[:MAX_NAME],
        options=step.options.undoing or step.options,
        is_atomic=step.kind is StepKind.ATOMIC,
        function=step.options.rollback,
        undo=_undo(step, cause),
    )


def _refuse(undo: Undo) -> None:
    raise IncompatibleHistory(
        f'the code no longer asks for step "{undo.key}" with a rollback function, which is to undo '
        "it: put the old code back and resume the run from the dead letter queue"
    )


def _undo(step: Undoable, cause: Exception | None) -> Undo:
    record, result, error = step.record, None, None
    if record is not None and record.error is not None:
        said = decode_json(record.error)
        error = StepError(record.name, said["type"], said["message"], record.attempts, record.key)
    elif record is not None and record.result is not None:
        result = decode_value(record.result)
    return Undo(
        step=step.name,
        key=step.key,
        finished=step.has_finished,
        result=result,
        error=error,
        cause=cause,
    )


def how_it_ended(rollback: Rollback, failed: Iterable[StepError]) -> TurnOutcome:
    """`failed` are those that could not be undone in this turn."""
    missing = [*_failed_before(rollback), *(_not_undone(error) for error in failed)]
    if rollback.error is not None:
        return Failed(error=_mentioning(rollback.error, missing))
    if not missing:
        return Canceled()
    why = f" ({rollback.reason})" if rollback.reason else ""
    sentence = f"the run was to be rolled back{why}{_mention(missing)}"
    return Failed(error=describe_error(RollbackFailed(sentence)))


def _failed_before(rollback: Rollback) -> Iterable[NotUndone]:
    for step in rollback.undone.values():
        if step.error is not None:
            said = decode_json(step.error)
            yield NotUndone(
                key=step.key.removesuffix(UNDO),
                error_type=said["type"],
                error_message=said["message"],
            )


def _not_undone(error: StepError) -> NotUndone:
    return NotUndone(
        key=error.key.removesuffix(UNDO),
        error_type=error.error_type,
        error_message=error.error_message,
    )


def _mentioning(error: str, missing: list[NotUndone]) -> str:
    """The error that failed the run; `undo` is what its message says about the undoing."""
    if not missing:
        return error
    said, mention = decode_json(error), _mention(missing)
    return encode_json({**said, "message": f"{said['message']}{mention}", "undo": mention})


def _mention(missing: list[NotUndone]) -> str:
    return f"; not undone: {', '.join(map(str, missing))}"
