"""What orders the moves of a run."""

from __future__ import annotations

from collections.abc import Iterable

from workflows_app.models import Message, Run


def lock(run_pk: int) -> None:
    """Its turn, or for a remote run, which has none, its row; until the transaction ends."""
    Message.objects.lock_turn(run_pk)
    Run.objects.lock(run_pk)


def lock_live(run_pks: Iterable[int]) -> dict[int, Run]:
    """Lock several, in one order, so that none waits for another in a circle. Those that live."""
    pks = set(run_pks)
    Message.objects.lock_turns(pks)
    live = Run.objects.live().filter(pk__in=pks).order_by("pk").locked()
    return {run.pk: run for run in live}
