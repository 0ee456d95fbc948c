"""The demo's workflows. docs/quickstart.md writes a small one like the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from project.shop.fulfillment import create_order, reserve_stock, send_mail, ship, take_payment
from workflows_app import Context, WorkflowNonRetryableError, workflow

T = TypeVar("T")


@workflow("order-fulfillment", retries=3)
def order_fulfillment(context: Context) -> dict[str, Any]:
    """Sell what `{"userId": ..., "items": [{"productId": ..., "quantity": 1}]}` asks for."""
    key = context.idempotency_key
    order = context.atomic(
        "create-order", create_order, context.request_payload, context.workflow_run_id
    )
    order_id = order["orderId"]
    short = context.atomic("check-stock", reserve_stock, order_id)
    if short:
        return {**order, "status": "out of stock", "short": short}
    payment = context.run("take-payment", take_payment, order_id, key)
    shipment = context.run("ship", ship, order_id, key)

    def mail(step: str, recipient: str, subject: str) -> Callable[[], int]:
        return partial(context.run, step, send_mail, order_id, recipient, subject, key)

    context.parallel(
        mail("mail-customer", order["customer"], "Your order is on its way"),
        mail("mail-warehouse", "warehouse", "An order has left"),
    )
    return {**order, **payment, **shipment, "status": "shipped"}


@workflow("onboarding-wait")
def onboarding_wait(context: Context) -> Any:
    """Waits up to an hour for the event `approved`. Returns its data, None after the timeout."""
    context.run("invite", same, context.request_payload)
    approval = context.wait_for_event("wait-for-approval", "approved", timeout="1h")
    return context.run("welcome", same, approval.event_data)


@workflow("flaky-step", retries=1000, retry_delay="1000")
def flaky_step(context: Context) -> int:
    """A step that fails `failures` times (default 1), a second apart, then returns its attempt."""
    failures = number_in(context.request_payload, "failures", default=1)

    def attempt() -> int:
        if context.attempt <= failures:
            raise ConnectionError(f"attempt {context.attempt} fails, as {failures} were asked to")
        return context.attempt

    return context.run("flaky", attempt)


@workflow("noop-steps")
def noop_steps(context: Context) -> int:
    """`steps` steps, each returning its index. Returns their number."""
    steps = number_in(context.request_payload, "steps", default=10)
    for index in range(steps):
        context.run(f"step-{index}", same, index)
    return steps


@workflow("fan-out")
def fan_out(context: Context) -> int:
    """`branches` parallel steps, each returning its index, and a step that returns their sum."""
    branches = number_in(context.request_payload, "branches", default=10)
    results = context.parallel(
        *(partial(context.run, f"branch-{index}", same, index) for index in range(branches))
    )
    return context.run("sum", sum, results)


def same(value: T) -> T:
    return value


def number_in(payload: Any, name: str, *, default: int) -> int:
    value = payload.get(name, default) if isinstance(payload, dict) else default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WorkflowNonRetryableError(f'"{name}" must be a whole number from 0, not {value!r}')
    return value
