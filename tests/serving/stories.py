"""Workflows of the site that real servers deliver to, each for both shells."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.shells import Shell, Story, body_for
from workflows_app import Failure, StepError, Workflow, WorkflowNonRetryableError, workflow

notes: list[Any] = []
"""What `/seen` shows."""
_times: Counter[str] = Counter()


def earlier(context: Any, name: str) -> int:
    """How often this was asked before in this process."""
    key = f"{context.workflow_run_id.partition('#')[0]} {name}"
    _times[key] += 1
    return _times[key] - 1


def third_party() -> str:
    return os.environ["THIRD_PARTY"]


async def everything(context: Any) -> Any:
    """Branches of several steps of every kind, a nested group, and steps after them."""

    async def chain() -> Any:
        first = await context.run("mail", lambda: 1)
        await context.sleep("pause", "1s")
        return first + await context.run("mail", lambda: 2)

    async def ask() -> Any:
        answer = await context.call("ask", url=f"{third_party()}/status/201", retries=1)
        return answer.status + await context.run("mail", lambda: 4)

    async def wait() -> Any:
        own = context.workflow_run_id
        await context.notify("tell", f"news {own}", 8, workflow_run_id=own)
        event = await context.wait_for_event("wait", f"news {own}", timeout="1m")
        return event.event_data

    async def nest() -> Any:
        await context.run("before", lambda: None)
        inner = await context.parallel(
            lambda: context.run("mail", lambda: 16), lambda: context.run("mail", lambda: 32)
        )
        return sum(inner) + await context.run("after", lambda: 64)

    first = await context.run("first ü", lambda: context.request_payload)
    found = await context.parallel(chain, ask, wait, nest)
    more = await context.parallel(
        lambda: context.run("mail", lambda: 1000),
        lambda: context.invoke("child", workflow=f"{_shell_of(context)}-child", body={"n": 1}),
    )
    return [first, *found, more[0], more[1].body, await context.run("last", lambda: "end")]


def _shell_of(context: Any) -> str:
    return str(context.url.rpartition("/")[2].partition("-")[0])


async def child(context: Any) -> Any:
    return await context.run("double", lambda: 2 * context.request_payload["n"])


async def sleeps(context: Any) -> Any:
    before = await context.run("before", lambda: datetime.now(UTC).timestamp())
    await context.sleep("for", "1s")
    await context.sleep_until("until", datetime.now(UTC) + timedelta(seconds=1))
    return await context.run("after", lambda: datetime.now(UTC).timestamp() - before)


async def waits(context: Any) -> Any:
    webhook = await context.create_webhook("create")
    await context.run("publish", notes.append, webhook.webhook_url)
    called = await context.wait_for_webhook("called", webhook, timeout="1m")
    late = await context.wait_for_event("late", "never", timeout=1)
    approval = await context.wait_for_event("approval", context.request_payload, timeout="1m")
    return [called.request.payload, late.timeout, approval.event_data]


async def invokes(context: Any) -> Any:
    shell = _shell_of(context)
    failed = await context.invoke(
        "failed", workflow=f"{shell}-fails", body={"kind": "final"}, retries=0
    )
    canceled = await context.invoke("canceled", workflow=f"{shell}-cancels")
    return [failed.is_failed, canceled.is_canceled]


async def cancels(context: Any) -> Any:
    await context.run("before", lambda: None)
    await context.cancel()


async def fails(context: Any) -> Any:
    kind = context.request_payload["kind"]

    def breaks() -> str:
        if kind == "final":
            raise WorkflowNonRetryableError("never again")
        if kind == "heals" and earlier(context, "breaks") < 2:
            raise ValueError("not yet")
        if kind == "handled":
            raise ValueError("broken")
        return f"attempt {context.attempt}"

    try:
        return await context.run("breaks ü", breaks)
    except StepError as error:
        if kind != "handled":
            raise
        return await context.run("repair", str, error.error_type)


def tell(failure: Failure) -> str:
    notes.append([failure.workflow_run_id, failure.request_payload, failure.step])
    return "told"


async def repaired(context: Any) -> Any:
    """Fails in one branch until it is resumed."""

    def breaks() -> str:
        if not _times[context.request_payload]:
            _times[context.request_payload] += 1
            raise WorkflowNonRetryableError("not yet")
        return "repaired"

    first = await context.run("first", lambda: earlier(context, "first"))
    both = await context.parallel(
        lambda: context.run("breaks", breaks), lambda: context.run("other", lambda: "other")
    )
    return [first, *both]


async def changes(context: Any) -> Any:
    name = "renamed" if earlier(context, "changes") > 1 else "first"
    await context.run(name, lambda: None)
    await context.sleep("pause", "0s")


async def races(context: Any) -> Any:
    async def expire() -> str:
        await context.sleep("patience", "30d")
        return "expired"

    async def answer() -> Any:
        await context.run("think", lambda: None)
        return await context.run("answer", lambda: "answered")

    first = await context.race(expire, answer)
    items = await context.map(
        lambda item: context.run("square", lambda: item * item), range(4), concurrency=2
    )
    return [first, items, await context.patched("change")]


async def undoes(context: Any) -> Any:
    run_id = context.workflow_run_id
    paid = context.options(rollback=lambda undo: notes.append([run_id, undo.key, undo.result]))
    await paid.run("pay", lambda: 12)
    await paid.run("ship", lambda: "parcel")
    await context.roll_back("nobody wants it")


async def goes_elsewhere(context: Any) -> Any:
    ended = await context.invoke(
        "echo", workflow=context.request_payload, body={"ü": 1}, labels="from-python"
    )
    return [ended.body, ended.is_failed]


STORIES: dict[str, Story] = {
    "everything": everything,
    "child": child,
    "sleeps": sleeps,
    "waits": waits,
    "invokes": invokes,
    "cancels": cancels,
    "fails": fails,
    "repaired": repaired,
    "changes": changes,
    "races": races,
    "undoes": undoes,
    "goes-elsewhere": goes_elsewhere,
}


def make_workflows() -> dict[str, Workflow]:
    return {
        name: workflow(name, failure_function=tell if story is fails else None)(
            body_for(shell, story)
        )
        for shell in Shell
        for story_name, story in STORIES.items()
        if (name := f"{shell}-{story_name}")
    }
