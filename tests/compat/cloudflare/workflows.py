"""Workflows that are functions, which the clients see as any other."""

from __future__ import annotations

import time
from typing import Any

from tests.compat.cloudflare import entrypoints
from workflows_app import AsyncContext, Context, workflow

__all__ = ["entrypoints"]  # registers its own by being imported


@workflow("function")
def function(context: Context) -> Any:
    given = context.run("same", lambda: context.request_payload)
    context.sleep("nap", "0.02s")
    return context.wait_for_event("answer", "answered", timeout="1h").event_data or given


@workflow("ticking")
async def ticking(context: AsyncContext) -> Any:
    """Started by its schedule."""
    return await context.run("tick", time.time)


def idle(context: Context) -> None:
    context.sleep("a day", "1d")


for _name in ("changed", "deleted", "listed", "paged", "limited", "short-lived", "batched"):
    workflow(_name)(idle)
