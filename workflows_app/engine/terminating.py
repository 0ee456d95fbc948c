"""Ending the live runs of a workflow: owed as a message, and done some at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Set
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from workflows_app.engine import clock, run_moves
from workflows_app.engine.database import joining
from workflows_app.engine.leases import Lease
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.settling import retry
from workflows_app.engine.states import State, in_state
from workflows_app.errors import InvalidInput, LeaseLost
from workflows_app.models import Definition, Message, Run
from workflows_app.protocol.codec import decode_json, encode_json

BATCH = 500
LIVE = (
    State.RUNNING,
    State.QUEUED,
    State.WAITING,
    State.PAUSING,
    State.PAUSED,
    State.ROLLING_BACK,
)


def terminate(definition: Definition, states: Collection[State] = LIVE) -> None:
    """Cancel, without rolling them back, all runs that are there now and in one of these states
    when a worker comes to look; with those that are still to be ended since an earlier call.
    Raises InvalidInput for states in which runs have ended.
    """
    if ended := sorted(set(states) - set(LIVE)):
        raise InvalidInput(f"only live runs can be terminated, not those that are {ended[0]}")
    with joining():
        locked = Definition.objects.select_for_update().get(pk=definition.pk)
        before = Message.objects.filter(definition=locked).first()
        asked = {*states, *(() if before is None else decode_json(before.request)["states"])}
        newest = _runs_of(locked).order_by("-pk").values_list("pk", flat=True).first()
        # In place of what was owed, whoever may be at work on it.
        Message.objects.filter(definition=locked).delete()
        Message.objects.create(
            account_id=locked.account_id,
            definition=locked,
            kind=Message.Kind.TERMINATION,
            due_at=clock.now(),
            request=encode_json({"states": sorted(asked), "newest": newest or 0}),
            created_at=clock.now(),
        )
        get_dispatcher().ring()


def is_terminating(definition: Definition) -> bool:
    return Message.objects.filter(definition=definition).exists()


def settle(lease: Lease) -> None:
    """End some; until there are none, owe the others. Raises LeaseLost."""
    definition = Definition.objects.filter(pk=lease.definition_id or 0).first()
    if definition is None:
        raise LeaseLost
    asked = decode_json(lease.request)
    runs = _there_before(definition, asked)
    for found in _found(runs, {State(state) for state in asked["states"]}):
        if some := list(found.order_by("pk").values_list("pk", flat=True)[:BATCH]):
            run_moves.cancel_all(Run.objects.filter(pk__in=some))
            retry(lease, clock.now())
            return
    if not Message.objects.held(lease.message_id, lease.token).delete()[0]:
        raise LeaseLost


def _found(runs: QuerySet[Run], states: Set[State]) -> Iterator[QuerySet[Run]]:
    """One state after the other; but who moves on between them is not to be missed where all of
    them are asked for.
    """
    if states >= set(LIVE):
        yield runs.filter(status=Run.Status.RUNNING)
    else:
        yield from (in_state(runs, state) for state in sorted(states))


def _runs_of(definition: Definition) -> QuerySet[Run]:
    return Run.objects.filter(account=definition.account_id, workflow=definition.name)


def _there_before(definition: Definition, asked: dict[str, Any]) -> QuerySet[Run]:
    """Also what has gone on meanwhile in the place of a run that was."""
    runs = _runs_of(definition)
    was_there = Q(pk__lte=asked["newest"])
    namesakes = runs.filter(was_there, run_id=OuterRef("run_id"))
    return runs.filter(was_there | Q(Exists(namesakes), origin__isnull=False))
