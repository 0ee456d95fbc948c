"""Recording steps: once each, and only under a live lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from workflows_app.conf import get_settings
from workflows_app.engine import clock, undoing
from workflows_app.engine.database import connection, settling
from workflows_app.engine.history import add_attempts, load_steps
from workflows_app.engine.leases import RENEWAL, Lease, hold, is_held, renew
from workflows_app.engine.turn_writes import MAX_ROWS, NewSteps, insert, insert_steps
from workflows_app.engine.withdrawing import withdraw
from workflows_app.errors import LeaseLost, RollbackAsked, StepMisuse, Stopping
from workflows_app.models import Run
from workflows_app.protocol.runs import UNDO, FailedAttempt, StepKind, StepRecord


class Journal:
    """Records the steps of one turn, under its lease."""

    def __init__(self, lease: Lease, stopping: threading.Event | None = None) -> None:
        self._lease = lease
        self._stopping = stopping
        self._transactions = _open_transactions()
        self._wakes = self._woken = lease.wakes
        self._undoes = lease.run.undoing_at is not None

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        """See `sdk.replay.Recorder.record`."""
        self._refuse_transaction()
        stood = self._record(steps, attempts)
        if any(not attempt.key for attempt in attempts):
            # With an attempt at its function, the turn is over.
            return stood
        if self._stopping is not None and self._stopping.is_set():
            raise Stopping
        self._heed_wakes()
        return stood

    def _record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        races = [step for step in steps if step.kind is StepKind.RACE]
        undoes = any(step.key == UNDO for step in steps)
        if attempts or races or undoes:
            return self._record_together(steps, attempts, races, undoes=undoes)
        all_new = self._insert(steps) == len(steps)
        return {} if all_new else self._what_stands(steps)

    def _insert(self, steps: Sequence[StepRecord]) -> int:
        write = insert(NewSteps(self._lease, steps))
        if write.wakes is not None:
            self._woken = write.wakes
        return write.inserted

    def _heed_wakes(self) -> None:
        """What has come for the run while the turn is at work may be an order to the turn."""
        if self._woken == self._wakes:
            return
        self._wakes = self._woken
        asked = Run.objects.values_list("paused_at", "undoing_at").filter(pk=self._lease.run_id)
        for paused_at, undoing_at in asked:
            if paused_at is not None:
                raise Stopping
            if not self._undoes and undoing_at is not None:
                self._undoes = True
                raise RollbackAsked

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        """See `sdk.replay.Recorder.atomic`."""
        self._refuse_transaction()
        began = time.monotonic()
        with settling():
            hold(self._lease)
            record = execute()
            if self._insert([record]) != 1:
                raise LeaseLost
            # While it is locked, the keeper passes it over.
            if time.monotonic() - began > RENEWAL * get_settings().LEASE.total_seconds():
                renew([self._lease])
        self._heed_wakes()
        return record

    def _record_together(
        self,
        steps: list[StepRecord],
        attempts: list[FailedAttempt],
        races: list[StepRecord],
        *,
        undoes: bool,
    ) -> dict[str, StepRecord]:
        with settling():
            self._woken = hold(self._lease)
            add_attempts(self._lease.run_id, attempts)
            all_new = insert_steps(self._lease, steps) == len(steps) if steps else True
            if undoes:
                undoing.begin(self._lease.run_id, clock.now())
                self._undoes = True
            for race in races:
                # What a loser is at work on may be among the steps, or be recorded already.
                withdrawn = withdraw(self._lease.run_id, race)
                for start in range(0, len(withdrawn), MAX_ROWS):
                    insert_steps(self._lease, withdrawn[start : start + MAX_ROWS])
        return {} if all_new else self._what_stands(steps)

    def _refuse_transaction(self) -> None:
        if _open_transactions() != self._transactions:
            raise StepMisuse(
                f"a step of run {self._lease.run.run_id} was called inside transaction.atomic(), "
                "whose rollback would undo what the journal has recorded; open transactions inside "
                "steps, or use context.atomic"
            )

    def _what_stands(self, steps: list[StepRecord]) -> dict[str, StepRecord]:
        """Raises LeaseLost, unless what was not inserted is there because it had been recorded
        before.
        """
        keys = {step.key for step in steps}
        recorded = load_steps(self._lease.run_id)
        stood = {step.key: step for step in recorded if step.key in keys}
        if len(stood) < len(keys) or not is_held(self._lease):
            raise LeaseLost
        return stood


def _open_transactions() -> int:
    own = connection()
    return len(own.savepoint_ids) + own.in_atomic_block
