"""Replays that show what differs from one to the next."""

from __future__ import annotations

from workflows_app.engine import clock
from workflows_app.engine.ports import Turn
from workflows_app.errors import IncompatibleHistory
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import Failed, Suspended, TurnOutcome
from workflows_app.sdk.replay import WHAT_TO_DO
from workflows_app.testing.verdicts import NotDeterministic


def replayed(turn: Turn, outcome: TurnOutcome) -> TurnOutcome:
    """The outcome of a turn of one step at most. What ends the run counts only after a replay: a
    turn that has recorded a step is followed by another, as if its process had died.

    Raises NotDeterministic for a turn that did not ask for the recorded steps.
    """
    if isinstance(outcome, Failed):
        _check_deterministic(turn.run.workflow, outcome.error)
    if isinstance(outcome, Suspended | Failed) or not _has_recorded(turn):
        return outcome
    return Suspended(wake_at=clock.now())


def _has_recorded(turn: Turn) -> bool:
    return turn.run.steps.count() > len(turn.history.steps)


def _check_deterministic(workflow: str, text: str) -> None:
    error = decode_json(text)
    if error["type"] == IncompatibleHistory.__name__:
        found = error["message"].removesuffix(WHAT_TO_DO).strip()
        raise NotDeterministic(
            f'workflow "{workflow}" asked for other steps when it was replayed: {found} What may '
            "differ from one time to the next (the time, random numbers, what the database or a "
            "global variable says) has to come from the result of a step."
        )
