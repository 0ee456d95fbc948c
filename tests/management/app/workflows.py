from __future__ import annotations

import time
from pathlib import Path

from workflows_app import Context, workflow

LONGEST_HOLD = 60.0
"""Seconds."""


@workflow("held")
def held(context: Context) -> str:
    """A step that begins with a file `begun` in the payload's directory, and ends with `gate`."""
    return context.run("hold", hold, context.request_payload)


def hold(directory: str) -> str:
    Path(directory, "begun").touch()
    deadline = time.monotonic() + LONGEST_HOLD
    while not Path(directory, "gate").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return "let go"
