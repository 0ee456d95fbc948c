"""Waiting for an event: an order is processed elsewhere, for ten minutes at the longest.

Shows `wait_for_event` with a timeout, `notify` from another run, and a run that is started together
with the writing down of a step, exactly once, because `trigger` joins the transaction of `atomic`.

    manage.py workflows trigger order-processing --body '{"order_id": "7", "email":
        "ada@example.org"}'
"""

from __future__ import annotations

from typing import Literal, TypedDict

from examples.mail import send_mail
from workflows_app import Context, workflow


class Order(TypedDict):
    order_id: str
    email: str


class Processed(TypedDict):
    shelf: str


@workflow("order-processing", retries=3, transport="local")  # atomic needs it
def order_processing(context: Context) -> Literal["processed", "given up"]:
    order: Order = context.request_payload
    event = f"order-{order['order_id']}"
    context.atomic("request-order-processing", request_processing, event, context.workflow_run_id)

    processing = context.wait_for_event("wait-for-order-processing", event, timeout="10m")
    if processing.timeout:
        context.run("send-apology-email", send_mail, order["email"], "Your order takes longer")
        return "given up"

    processed: Processed = processing.event_data
    context.run("process-order", reserve, processed["shelf"])
    context.run("send-confirmation-email", send_mail, order["email"], "Your order is processed!")
    return "processed"


def request_processing(event: str, run_id: str) -> None:
    warehouse.trigger({"event": event, "run_id": run_id})


def reserve(shelf: str) -> str:
    return f"reserved on {shelf}"


@workflow("warehouse", retries=3)
def warehouse(context: Context) -> None:
    """Tells the run that asked; it may be asleep, or not wait for it yet."""
    context.sleep("walk-there", "2m")
    shelf = context.run("find", lambda: "shelf 3")
    processed: Processed = {"shelf": shelf}
    context.notify(
        "tell",
        context.request_payload["event"],
        processed,
        workflow_run_id=context.request_payload["run_id"],
    )
