"""Whether anything of a run has changed since one last looked, at the cost of a few small reads."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from workflows_app.engine import clock
from workflows_app.models import Attempt, Message, Run, Step

MOST_MESSAGES = 100
"""Messages of one run that are looked at, the newest."""
_OF_THE_RUN = ("status", "paused_at", "undoing_at")
_OF_A_MESSAGE = ("pk", "token", "due_at", "parked_for", "wakes", "claims", "at_step")


class RunNotices:
    """Notices what is recorded of a run, what is owed to it, and that something of that has fallen
    due; not that a lease was renewed.
    """

    def __init__(self, run_pk: int) -> None:
        self._run_pk = run_pk
        self._step = self._attempt = 0
        self._said: object = None
        self.is_over = False
        """Whether the run had ended, or been deleted, at the last look."""

    def look(self) -> bool:
        """Whether something has changed; at the first look, something has."""
        row = Run.objects.filter(pk=self._run_pk).values_list(*_OF_THE_RUN).first()
        self.is_over = row is None or row[0] != Run.Status.RUNNING
        self._step = self._newest(Step, self._step)
        self._attempt = self._newest(Attempt, self._attempt)
        said = (row, self._step, self._attempt, self._owed())
        changed, self._said = said != self._said, said
        return changed

    @property
    def mark(self) -> str:
        """Of what the last look has found; another one after a change."""
        return sha256(repr(self._said).encode()).hexdigest()[:16]

    def _newest(self, model: type[Step | Attempt], known: int) -> int:
        rows: Any = model._default_manager.filter(run=self._run_pk, pk__gt=known)
        newest: int | None = rows.order_by("-pk").values_list("pk", flat=True).first()
        return newest or known

    def _owed(self) -> list[Any]:
        messages = Message.objects.filter(run=self._run_pk).order_by("-pk")
        now, owed = clock.now(), []
        for pk, token, due_at, *others in messages.values_list(*_OF_A_MESSAGE)[:MOST_MESSAGES]:
            is_due = due_at is not None and due_at <= now
            # The end of a lease is moved each time that it is renewed.
            due = None if token is not None else due_at
            owed.append((pk, token, due, is_due, *others))
        return owed
