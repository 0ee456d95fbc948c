"""What type checkers know of a step from its function. `make lint` runs two of them over it; it is
never called.
"""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

from workflows_app import (
    AsyncContext,
    CallResponse,
    Context,
    EventResult,
    InvokeResponse,
    NotifyResult,
    PlainWorkflowStep,
    Undo,
    Webhook,
    WebhookResult,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowStep,
    workflow,
)


def price_of(product: str, quantity: int = 1) -> int:
    return quantity


def forget(undo: Undo) -> None: ...


async def forget_async(undo: Undo) -> None: ...


async def fetch(url: str) -> dict[str, str]:
    return {}


def plain(context: Context) -> None:
    assert_type(context.run("price", price_of, "tea"), int)
    assert_type(context.run("price", price_of, "tea", quantity=2), int)
    assert_type(context.atomic("price", price_of, product="tea"), int)
    assert_type(context.options(retries=1).run("price", price_of, "tea"), int)
    undoable = context.options(retry_delay="1s", backoff="linear", sensitive=True, rollback=forget)
    assert_type(undoable.run("price", price_of, "tea"), int)
    assert_type(context.run("names", lambda: ["a", "b"]), list[str])
    assert_type(context.parallel(lambda: price_of("tea"), lambda: price_of("pot")), list[int])
    assert_type(context.call("ask", url="https://peer.example"), CallResponse)
    assert_type(context.invoke("pack", workflow="pack"), InvokeResponse)
    assert_type(context.wait_for_event("wait", "event"), EventResult)
    assert_type(context.notify("tell", "event"), NotifyResult)
    assert_type(context.create_webhook("hook"), Webhook)
    assert_type(context.wait_for_webhook("wait", context.create_webhook("h")), WebhookResult)
    assert_type(context.patched("change"), bool)


async def awaited(context: AsyncContext) -> None:
    assert_type(await context.run("price", price_of, "tea"), int)
    assert_type(await context.run("fetch", fetch, "https://peer.example"), dict[str, str])
    assert_type(await context.atomic("price", price_of, "tea", quantity=2), int)
    assert_type(await context.options(retries=1).run("fetch", fetch, url=""), dict[str, str])
    undoable = context.options(rollback=forget_async)
    assert_type(await undoable.run("price", price_of, "tea"), int)
    assert_type(await context.call("ask", url="https://peer.example"), CallResponse)
    assert_type(await context.wait_for_event("wait", "event"), EventResult)
    assert_type(await context.patched("change"), bool)
    both = await asyncio.gather(
        context.run("price", price_of, "tea"), context.run("fetch", fetch, "")
    )
    assert_type(both, tuple[int, dict[str, str]])


def what_does_not_fit(context: Context) -> None:
    context.run("price", price_of)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    context.run("price", price_of, 7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    context.run("price", price_of, "tea", cups=2)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    context.options(rollback=price_of)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    context.options(backoff="quadratic")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    context.run(price_of, "tea")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportCallIssue]


async def what_does_not_fit_async(context: AsyncContext) -> None:
    await context.run("fetch", fetch)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    await context.atomic("fetch", price_of, 7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    context.run("fetch", fetch, "")  # type: ignore[unused-coroutine] # pyright: ignore[reportUnusedCoroutine]
    if context.patched("change"):  # type: ignore[truthy-bool]
        return


@workflow("typed-plain")
def decorated(context: Context) -> dict[str, int]:
    return {"price": context.run("price", price_of, "tea")}


@workflow("typed-awaited")
async def decorated_async(context: AsyncContext) -> dict[str, str]:
    return await context.run("fetch", fetch, "")


class TypedPlain(WorkflowEntrypoint):
    def run(self, event: WorkflowEvent, step: PlainWorkflowStep) -> int:
        @step.do("price", config={"retries": {"limit": 1, "delay": "10 seconds"}, "timeout": 500})
        def price(ctx: Any) -> int:
            return int(ctx.attempt)

        assert_type(price(), int)
        assert_type(step.do("names", lambda: ["a", "b"], rollback=print), list[str])
        assert_type(step.parallel(lambda: price(), lambda: 2), list[int])
        step.do("x", price, {"retry": 1})  # a mapping may say anything; it is read when it runs
        return price()


class TypedAwaited(WorkflowEntrypoint, name="typed-awaited-class"):
    async def run(self, event: WorkflowEvent, step: WorkflowStep) -> dict[str, str]:
        @step.do("fetch", concurrent=True)
        async def fetched() -> dict[str, str]:
            return {}

        @step.do()
        def price(fetched: dict[str, str]) -> int:
            return len(fetched)

        assert_type(await price(), int)
        assert_type(await step.do("fetch", fetched), dict[str, str])
        assert_type(await step.do("price", price_of, {"timeout": "1 minute"}), int)
        assert_type(await fetched(), dict[str, str])
        await step.sleep("nap", "1 hour")
        assert_type((await step.wait_for_event("ok", "approved")).type, Any)
        return await fetched()


def rolls_back(context: Context) -> int:
    context.roll_back("no stock")  # nothing has to follow it: it does not return


def begins_anew(context: Context) -> int:
    context.continue_as_new({})  # nothing has to follow it: it does not return


def starting() -> None:
    assert_type(decorated.trigger({}).workflow_run_id, str)
