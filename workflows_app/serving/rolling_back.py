"""Rolling back a run that is served: what is to be undone is published first, then each delivery
undoes one step.
"""

from __future__ import annotations

from workflows_app.protocol.runs import History, StepKind
from workflows_app.sdk.sagas import Rollback, UndoStep, how_it_ended, parted, what_remains
from workflows_app.sdk.turn import ask_again, undo_steps
from workflows_app.serving.asking import Choice
from workflows_app.serving.passes import Pass
from workflows_app.serving.recorder import Collector
from workflows_app.serving.turns import Turn
from workflows_app.serving.work import Nothing, Work


def take(turn: Turn) -> Work:
    """What a delivery leads to, whether its run goes forward or back."""
    forward, rollback = parted(turn.past.history)
    if rollback is None or turn.past.is_repeated:
        return turn.take()
    last = turn.past.last
    if last is None or last.kind is not StepKind.ROLLBACK:
        # What other branches were at may end meanwhile; it changes nothing.
        return Nothing()
    return _go_on(turn, forward, rollback)


def _go_on(turn: Turn, forward: History, rollback: Rollback) -> Work:
    replay = turn.replay(Choice.NOTHING, forward)
    misfit = ask_again(turn.workflow, replay, turn.ports(Collector()))
    if misfit is not None:
        return turn.end(misfit)
    remaining = what_remains(rollback, replay.saga)
    if not remaining:
        return turn.end(how_it_ended(rollback, []))
    return _undo(turn, remaining[0], rollback)


def _undo(turn: Turn, step: UndoStep, rollback: Rollback) -> Work:
    done, replay = Collector(), turn.replay(step.key, History())
    outcome = undo_steps(turn.workflow, replay, turn.watched(done), [step], rollback)
    went = Pass(replay=replay, done=done, outcome=outcome)
    return turn.outcome_of(turn.rollback_step(step.key, step.name), went)
