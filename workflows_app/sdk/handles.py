"""Runs as other code sees them: to be asked what they do, and to be told what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workflows_app.sdk.launching import Fork, engine
from workflows_app.sdk.payloads import encode_payload

THE_SAME: Any = object()
"""Stands for the payload that the forked run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHandle:
    """A run, or what has gone on in its place under its id. What it is told takes effect with the
    caller's transaction; each verb says which state the run is in then, and all but `restart` and
    `fork` raise RunEnded when it has ended.
    """

    workflow_run_id: str
    workflow: str | None = None
    """Of which workflow it is; needed only where its id is not unique without it."""

    @property
    def state(self) -> str:
        """Now: "queued", "running", "waiting", "pausing", "paused", "rolling back", "succeeded",
        "failed" or "canceled".
        """
        return engine().state_of(self.workflow_run_id, self.workflow)

    def pause(self) -> str:
        """Have nothing of it start until it is resumed; a step in flight goes on to its end."""
        return engine().pause(self.workflow_run_id, self.workflow)

    def resume(self) -> str:
        """Have it go on; what was pending has as much time left as when it was paused."""
        return engine().resume(self.workflow_run_id, self.workflow)

    def cancel(self, *, roll_back: bool = False) -> str:
        """End it; with `roll_back`, once its steps have been undone."""
        return engine().cancel(self.workflow_run_id, self.workflow, roll_back=roll_back)

    def restart(self, step: str | None = None, *, count: int = 1, kind: str = "work") -> str:
        """Have it begin again under its id, whether it has ended or not: whole, or from this step,
        with what it has recorded of steps that began before.

        Of several steps of that name and kind it is the `count`th that began; a "sleep" and a
        "wait" are kinds of their own, all else is "work". Raises InvalidInput for another step,
        Refused for a run that is being rolled back.
        """
        return engine().restart(
            self.workflow_run_id, self.workflow, step=step, count=count, kind=kind
        )

    def fork(
        self,
        step: str | None = None,
        *,
        count: int = 1,
        kind: str = "work",
        payload: Any = THE_SAME,
        workflow_run_id: str | None = None,
    ) -> RunHandle:
        """Start another run like it, with an id of its own: whole, or from a step, as `restart`
        does, with its payload or another one. This one stays as it is, and goes on if it is live.

        Raises NotSerializable, and what `restart` raises; Refused also for an id in use.
        """
        asked = Fork(
            step=step,
            count=count,
            kind=kind,
            payload=None if payload is THE_SAME else encode_payload(payload),
            run_id=workflow_run_id,
        )
        forked = engine().fork(self.workflow_run_id, self.workflow, asked)
        return RunHandle(workflow_run_id=forked, workflow=self.workflow)


def get_run(workflow_run_id: str, workflow: str | None = None) -> RunHandle:
    """The live run of this id, else the newest that had it. Raises RunNotFound."""
    engine().state_of(workflow_run_id, workflow)
    return RunHandle(workflow_run_id=workflow_run_id, workflow=workflow)
