"""How the dialect calls what the engine knows (Cloudflare reference 3 and 4.11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from workflows_app.engine.states import State
from workflows_app.models import Run

Status = Literal[
    "queued",
    "running",
    "waiting",
    "waitingForPause",
    "paused",
    "rollingBack",
    "complete",
    "errored",
    "terminated",
]
Source = Literal["unknown", "api", "binding", "event", "cron"]

STATUSES: Mapping[State, Status] = {
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.WAITING: "waiting",
    State.PAUSING: "waitingForPause",
    State.PAUSED: "paused",
    State.ROLLING_BACK: "rollingBack",
    State.SUCCEEDED: "complete",
    State.FAILED: "errored",
    State.CANCELED: "terminated",
}
STATES: Mapping[str, State] = {status: state for state, status in STATUSES.items()}
SOURCES: Mapping[str, Source] = {
    Run.Source.API: "api",
    Run.Source.PYTHON: "binding",
    Run.Source.RUN: "binding",
    Run.Source.SCHEDULE: "cron",
}
