"""Replays that show what differs from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from workflows_app.engine.history import load_history
from workflows_app.engine.ports import Turn
from workflows_app.errors import IncompatibleHistory
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import (
    Failed,
    FailedAttempt,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.sdk.authoring import get_workflow
from workflows_app.sdk.replay import Extent
from workflows_app.sdk.unfit import WHAT_TO_DO
from workflows_app.testing.verdicts import NotDeterministic
from workflows_app.worker import local

_WHAT_TO_DO = (
    "What may differ from one time to the next (the time, random numbers, what the database or a "
    "global variable says) has to come from the result of a step."
)


def check_replays(turn: Turn, outcome: TurnOutcome) -> None:
    """Raises NotDeterministic for a turn that did not ask for the recorded steps; and for one that
    ends its run, if the function does not come to that end when it is replayed.

    The others are followed by turns, which begin with a replay.
    """
    _check_steps(turn, outcome)
    if isinstance(outcome, Suspended | Failed):
        return
    again = _replay(turn)
    _check_steps(turn, again)
    if type(again) is not type(outcome):
        asked = "asked for more steps" if isinstance(again, Suspended) else "ended otherwise"
        raise NotDeterministic(_sentence(turn, f"{asked} when it was replayed."))


def _check_steps(turn: Turn, outcome: TurnOutcome) -> None:
    if not isinstance(outcome, Failed):
        return
    error = decode_json(outcome.error)
    if error["type"] == IncompatibleHistory.__name__:
        found = error["message"].removesuffix(WHAT_TO_DO).strip()
        said = f"asked for other steps when it was replayed: {found}"
        raise NotDeterministic(_sentence(turn, said))


def _sentence(turn: Turn, said: str) -> str:
    return f'workflow "{turn.run.workflow}" {said} {_WHAT_TO_DO}'


def _replay(turn: Turn) -> TurnOutcome:
    """Call the function once more, with all that is recorded; it gets nothing new done."""
    recorded = replace(turn, history=load_history(turn.run))
    ports = replace(local.ports_of(recorded), recorder=_Forgetful())
    return local.take_turn(get_workflow(turn.run.workflow), recorded, ports, Extent.RECORDED)


class _Forgetful:
    """A `Recorder` of what nobody is to know."""

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        return {}

    def atomic(self, execute: Callable[[], StepRecord]) -> NoReturn:
        raise AssertionError("no step is executed")
