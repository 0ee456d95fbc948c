"""E-commerce: an order gets a number, is checked against the stock, paid, dispatched and confirmed.

Shows steps, a call of another service with retries and headers, what undoes a payment when a later
step cannot be done (a rollback), idempotency keys, and mails that are sent in parallel.

    manage.py workflows trigger e-commerce-order --body '{"user_id": "ada",
        "items": [{"product_id": "teapot", "quantity": 1}]}'
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypedDict
from uuid import uuid4

from examples.mail import send_mail
from workflows_app import Context, Undo, workflow

logger = logging.getLogger(__name__)

CARRIER = "https://carrier.example.org/parcels"
STOCK = {"teapot": 3, "cup": 12, "sieve": 0}


class Item(TypedDict):
    product_id: str
    quantity: int


class Order(TypedDict):
    user_id: str
    items: list[Item]


class Fulfilled(TypedDict):
    order_id: str
    status: Literal["dispatched", "out of stock"]


@workflow("e-commerce-order", retries=3, retry_delay="10s", backoff="exponential")
def order_fulfillment(context: Context) -> Fulfilled:
    order: Order = context.request_payload
    user_id, items = order["user_id"], order["items"]
    order_id = context.run("create-order-id", create_order_id, user_id)
    if context.run("check-stock", missing_in_stock, items):
        return {"order_id": order_id, "status": "out of stock"}

    # From here on a run that fails gives the money back.
    context.options(rollback=refund).run("process-payment", process_payment, order_id)

    dispatched = context.call(
        "dispatch-order",
        url=CARRIER,
        method="POST",
        body={"order_id": order_id, "items": items},
        # A call may be sent twice. By this the carrier notices, and sends one parcel.
        headers={"Idempotency-Key": order_id},
        retries=3,
        retry_delay="5s",
        timeout="30s",
    )
    if dispatched.status != 200:
        context.roll_back(f"the carrier answered {dispatched.status}")

    def mail(step: str, text: str) -> Callable[[], str]:
        return lambda: context.run(step, send_mail, user_id, text)

    context.parallel(
        mail("send-confirmation", f"{order_id} is paid"),
        mail("send-dispatch-notification", f"{order_id} is on its way"),
    )
    return {"order_id": order_id, "status": "dispatched"}


def create_order_id(user_id: str) -> str:
    """A step, although it does nothing but think: a replay must get the same id."""
    return f"{user_id}-{uuid4().hex[:8]}"


def missing_in_stock(items: list[Item]) -> list[str]:
    return [
        item["product_id"] for item in items if STOCK.get(item["product_id"], 0) < item["quantity"]
    ]


def process_payment(order_id: str) -> str:
    """Would take the money, once for one order however often it is asked. Returns the payment."""
    return f"payment of {order_id}"


def refund(undo: Undo) -> None:
    """If the step has not finished, the money may have been taken all the same."""
    logger.info("given back: %s", undo.result if undo.finished else "whatever was taken")
