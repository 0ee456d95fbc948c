"""The steps of `order-fulfillment`: small functions over the shop's tables.

Those that commit together with their step's result run exactly once. The others stand for calls to
a payment provider, a carrier and a mail server, which may be made twice; they take an idempotency
key, as such services do, and doing them twice with the same key changes nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import F

from project.shop.models import NAME_LENGTH, Mail, Order, OrderLine, Payment, Product, Shipment
from workflows_app import WorkflowNonRetryableError

MOST_OF_ONE_PRODUCT = 1_000_000


def create_order(payload: Any, run_id: str) -> dict[str, Any]:
    """Write the order down. Returns its number and its customer."""
    customer, wanted = read_order(payload)
    order = Order.objects.create(customer=customer, run_id=run_id)
    for code, quantity in sorted(wanted.items()):
        product, _ = Product.objects.get_or_create(code=code)
        OrderLine.objects.create(order=order, product=product, quantity=quantity)
    return {"orderId": order.pk, "customer": customer}


def read_order(payload: Any) -> tuple[str, Counter[str]]:
    """The customer, and how many of each product, of `{"userId": ..., "items": [...]}`."""
    wanted: Counter[str] = Counter()
    try:
        customer = str(payload["userId"])
        for item in payload["items"]:
            wanted[str(item["productId"])] += int(item.get("quantity", 1))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise refusal() from None
    names = (customer, *wanted)
    quantities = wanted.values()
    if not wanted or min(quantities) < 1 or max(quantities) > MOST_OF_ONE_PRODUCT:
        raise refusal()
    if not all(0 < len(name) <= NAME_LENGTH for name in names):
        raise refusal()
    return customer, wanted


def refusal() -> WorkflowNonRetryableError:
    return WorkflowNonRetryableError(
        'an order looks like {"userId": "ada", "items": [{"productId": "teapot", "quantity": 1}]},'
        f" with at least one item, quantities from 1 to {MOST_OF_ONE_PRODUCT:,} and names of up to"
        f" {NAME_LENGTH} characters"
    )


def reserve_stock(order_id: int) -> list[str]:
    """Take the order's goods from stock, all or none. Returns the products that are short."""
    lines = OrderLine.objects.filter(order=order_id)
    products = {
        product.pk: product
        for product in Product.objects.select_for_update()
        .filter(pk__in=lines.values("product"))
        .order_by("pk")
    }
    short = [line for line in lines if products[line.product_id].stock < line.quantity]
    if not short:
        for line in lines:
            Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)
    return [products[line.product_id].code for line in short]


def take_payment(order_id: int, idempotency_key: str) -> dict[str, int]:
    amount = Order.objects.get(pk=order_id).total()
    payment, _ = Payment.objects.get_or_create(
        idempotency_key=idempotency_key, defaults={"order_id": order_id, "amount": amount}
    )
    return {"paymentId": payment.pk, "amount": payment.amount}


def ship(order_id: int, idempotency_key: str) -> dict[str, int]:
    shipment, _ = Shipment.objects.get_or_create(
        idempotency_key=idempotency_key, defaults={"order_id": order_id}
    )
    return {"shipmentId": shipment.pk}


def send_mail(order_id: int, recipient: str, subject: str, idempotency_key: str) -> int:
    mail, _ = Mail.objects.get_or_create(
        idempotency_key=idempotency_key,
        recipient=recipient,
        defaults={"order_id": order_id, "subject": subject},
    )
    return mail.pk
