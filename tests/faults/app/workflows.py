"""Workflows whose steps tell a side file that they were executed, whatever the journal says."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from project.shop.models import Order
from workflows_app import AsyncContext, Context, get_run, workflow
from workflows_app.models import Step

SIDE_FILE = "FAULTS_SIDE_FILE"
GATE = "FAULTS_GATE"
NAP = timedelta(milliseconds=150)
LONGEST_HOLD = 60.0
"""Seconds."""


def execute(run_id: str, step: str, seconds: float = 0.01) -> str:
    """A step: say that it was executed, and whether it had been recorded before."""
    recorded = Step.objects.filter(run__run_id=run_id, name=step).exists()
    line = f"{time.time()} {run_id} {step} {os.getpid()} {'again' if recorded else 'once'}\n"
    append = os.open(os.environ[SIDE_FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(append, line.encode())
    finally:
        os.close(append)
    time.sleep(seconds)
    return step


def hold(run_id: str) -> None:
    """A step that lasts until the gate file is there."""
    execute(run_id, "hold")
    deadline = time.monotonic() + LONGEST_HOLD
    while not Path(os.environ[GATE]).exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def place_order(run_id: str) -> int:
    return Order.objects.create(customer="somebody", run_id=run_id).pk


@workflow("faults-mixed", retries=1000, retry_delay="100")
def mixed(context: Context) -> str:
    """Steps one after another, an atomic one, a sleep, parallel steps, and another run."""
    run_id = context.workflow_run_id
    for name in ("first", "second", "third"):
        context.run(name, execute, run_id, name)
    context.atomic("order", place_order, run_id)
    context.sleep("nap", NAP)
    branches = [
        partial(context.run, name, execute, run_id, name) for name in ("left", "middle", "right")
    ]
    done = context.parallel(*branches)
    invoked = context.invoke("short", workflow="faults-short")
    return ", ".join([*done, invoked.body, context.run("last", execute, run_id, "last")])


MIXED_STEPS = {
    "first", "second", "third", "order", "nap", "left@1", "middle@2", "right@3", "short",
    "last",
}  # fmt: skip


@workflow("faults-async", retries=1000, retry_delay="100")
async def asynchronous(context: AsyncContext) -> str:
    """The same in async code, with the sleep in a branch."""
    run_id = context.workflow_run_id
    await context.run("first", execute, run_id, "first")

    async def nap() -> str:
        await context.sleep("nap", NAP)
        return await context.run("awake", execute, run_id, "awake")

    done = await asyncio.gather(
        context.run("left", execute, run_id, "left"),
        context.run("right", execute, run_id, "right"),
        nap(),
    )
    await context.atomic("order", place_order, run_id)
    return ", ".join([*done, await context.run("last", execute, run_id, "last")])


ASYNC_STEPS = {"first", "left@1", "right@2", "nap@3", "awake@3", "order", "last"}


@workflow("faults-hold", retries=1000, retry_delay="100")
def holding(context: Context) -> str:
    """A step, one that lasts until it is told to end, and one more."""
    run_id = context.workflow_run_id
    context.run("first", execute, run_id, "first")
    context.run("hold", hold, run_id)
    return context.run("last", execute, run_id, "last")


@workflow("faults-undone", retries=1000, retry_delay="100")
def undone(context: Context) -> None:
    """Two steps that are undone; undoing the first lasts until it is told to end."""
    run_id = context.workflow_run_id
    slow = context.options(rollback=lambda undo: hold(run_id))
    slow.run("first", execute, run_id, "first")
    quick = context.options(rollback=lambda undo: execute(run_id, "undo-second"))
    quick.run("second", execute, run_id, "second")
    context.roll_back()


@workflow("faults-terminated", retries=1000, retry_delay="100")
def terminated(context: Context) -> None:
    """The same; but someone else asks for it while another step is in flight."""
    run_id = context.workflow_run_id
    slow = context.options(rollback=lambda undo: hold(run_id))
    slow.run("first", execute, run_id, "first")
    quick = context.options(rollback=lambda undo: execute(run_id, "undo-second"))
    quick.run("second", execute, run_id, "second")
    context.run("ask", lambda: get_run(run_id).cancel(roll_back=True))
    context.run("never", execute, run_id, "never")


@workflow("faults-short", retries=1000, retry_delay="100")
def short(context: Context) -> str:
    """One step."""
    return context.run("only", execute, context.workflow_run_id, "only", 0.0)


STEPS = {
    "faults-mixed": MIXED_STEPS,
    "faults-async": ASYNC_STEPS,
    "faults-hold": {"first", "hold", "last"},
    "faults-short": {"only"},
}
"""The keys that a finished run of each workflow has recorded."""

AT_ONCE = {
    "faults-mixed": {"left", "middle", "right"},
    "faults-async": {"left", "right", "awake"},
}
"""The names of steps that a turn may execute before it records any of them: one for each branch."""
