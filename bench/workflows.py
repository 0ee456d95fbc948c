"""A workflow that only the bench needs; found like any app's when bench.settings are in force."""

from __future__ import annotations

import time

from workflows_app import Context, workflow


@workflow("bench-sleeper")
def sleeper(context: Context) -> float:
    """Sleep until `until`, in seconds of the wall clock. Returns how late it woke, in seconds."""
    until: float = context.request_payload["until"]
    context.sleep_until("nap", until)
    return time.time() - until


@workflow("bench-instance", retries=0)
def instance(context: Context) -> None:
    """Fails at once, sleeps for a day, or is done, as `end` says."""
    match context.request_payload.get("end"):
        case "errored":
            raise RuntimeError("as it was told")
        case "waiting":
            context.sleep("day", "1d")
