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
