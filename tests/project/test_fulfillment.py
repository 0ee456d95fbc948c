"""The steps of the demo's order-fulfillment, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from project.shop.fulfillment import create_order, reserve_stock, send_mail, ship, take_payment
from project.shop.models import Mail, Order, Payment, Product, Shipment
from workflows_app import WorkflowNonRetryableError

pytestmark = pytest.mark.django_db


def order_of(**quantities: int) -> int:
    items = [{"productId": code, "quantity": count} for code, count in quantities.items()]
    order_id: int = create_order({"userId": "ada", "items": items}, "wfr_1")["orderId"]
    return order_id


def stock_of(code: str) -> int:
    return Product.objects.get(code=code).stock


def test_an_order_is_written_with_a_line_per_product():
    order = create_order(
        {
            "userId": "ada",
            "items": [
                {"productId": "teapot", "quantity": 1},
                {"productId": "cup", "quantity": 4},
                {"productId": "teapot"},
            ],
        },
        "wfr_1",
    )

    written = Order.objects.get(pk=order["orderId"])
    assert order == {"orderId": written.pk, "customer": "ada"}
    assert written.run_id == "wfr_1"
    assert sorted(map(str, written.lines.all())) == ["2 x teapot", "4 x cup"]


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "an order",
        {},
        {"userId": "ada"},
        {"userId": "ada", "items": []},
        {"userId": "", "items": [{"productId": "teapot"}]},
        {"userId": "ada", "items": ["teapot"]},
        {"userId": "ada", "items": [{"productId": "teapot", "quantity": 0}]},
        {"userId": "ada", "items": [{"productId": "teapot", "quantity": "many"}]},
        {"userId": "ada", "items": [{"productId": "teapot", "quantity": 10**30}]},
        {"userId": "a" * 201, "items": [{"productId": "teapot"}]},
    ],
)
def test_what_is_no_order_fails_at_once_and_shows_what_one_looks_like(payload: Any):
    with pytest.raises(WorkflowNonRetryableError, match="an order looks like"):
        create_order(payload, "wfr_1")

    assert not Order.objects.exists()


def test_ordered_goods_leave_the_stock():
    order_id = order_of(teapot=2)
    before = stock_of("teapot")

    assert reserve_stock(order_id) == []

    assert stock_of("teapot") == before - 2


def test_when_one_product_is_short_nothing_leaves_the_stock():
    order_id = order_of(teapot=2, cup=4)
    Product.objects.filter(code="cup").update(stock=3)
    before = stock_of("teapot")

    assert reserve_stock(order_id) == ["cup"]

    assert (stock_of("teapot"), stock_of("cup")) == (before, 3)


def test_paying_twice_with_one_key_takes_the_money_once():
    order_id = order_of(teapot=2)
    Product.objects.filter(code="teapot").update(price=150)

    first, second = take_payment(order_id, "key"), take_payment(order_id, "key")

    assert first == second == {"paymentId": Payment.objects.get().pk, "amount": 300}


def test_shipping_twice_with_one_key_ships_once():
    order_id = order_of(teapot=1)

    first, second = ship(order_id, "key"), ship(order_id, "key")

    assert first == second == {"shipmentId": Shipment.objects.get().pk}


def test_one_key_sends_one_mail_to_each_recipient():
    order_id = order_of(teapot=1)

    sent = [send_mail(order_id, name, "News", "key") for name in ("ada", "warehouse", "ada")]

    assert sent[0] == sent[2]
    assert sorted(map(str, Mail.objects.all())) == ["News to ada", "News to warehouse"]
