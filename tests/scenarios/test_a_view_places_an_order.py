"""A customer orders in a web shop. The view stores the order and starts its fulfilment in one
transaction; workers do the rest, and the shop's staff see it in the admin.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import include, path
from pytest_django import Settings

from project.shop.models import Mail, Order, Payment, Product, Shipment
from project.workflows import order_fulfillment
from tests.scenarios.workers import at_work, ended
from workflows_app.models import Message, Run

pytestmark = pytest.mark.django_db(transaction=True)


@transaction.atomic
def place_order(request: HttpRequest) -> JsonResponse:
    basket = json.loads(request.body)
    run = order_fulfillment.trigger(basket, workflow_run_id=f"basket-{basket['id']}")
    if not basket["items"]:
        raise ValueError("nothing was ordered")
    return JsonResponse({"run": run.workflow_run_id, "again": run.deduplicated})


urlpatterns = [path("orders", place_order), path("", include("project.urls"))]


@pytest.fixture(autouse=True)
def shop(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    Product.objects.create(code="teapot", price=2_500, stock=3)


def order(client: Client, basket: int, *products: str) -> Any:
    items = [{"productId": product, "quantity": 2} for product in products]
    body = {"id": basket, "userId": "grace", "items": items}
    return client.post("/orders", body, content_type="application/json")


def test_an_order_is_fulfilled_once_and_shown(client: Client, admin: Client) -> None:
    # The customer clicks twice.
    first, second = order(client, 7, "teapot"), order(client, 7, "teapot")
    assert first.json() == {"run": "basket-7", "again": False}
    assert second.json() == {"run": "basket-7", "again": True}

    with at_work():
        run = ended("basket-7")

    assert run.status == "succeeded"
    placed = Order.objects.get()
    assert (placed.customer, placed.run_id) == ("grace", "basket-7")
    assert [str(line) for line in placed.lines.all()] == ["2 x teapot"]
    assert Payment.objects.get().amount == 5_000
    assert Shipment.objects.get().order == placed
    assert sorted(Mail.objects.values_list("recipient", flat=True)) == ["grace", "warehouse"]
    assert Product.objects.get(code="teapot").stock == 1

    page = admin.get(f"/admin/workflows_app/run/{run.pk}/change/").content.decode()
    for shown in ("basket-7", "create-order", "take-payment", "ship", "mail-customer"):
        assert shown in page


def test_an_order_that_is_rolled_back_is_never_fulfilled(client: Client) -> None:
    client.raise_request_exception = False

    assert order(client, 8).status_code == 500
    with at_work():
        order(client, 9, "teapot")
        ended("basket-9")

    assert not Run.objects.filter(run_id="basket-8").exists()
    assert Order.objects.count() == 1


def test_what_is_out_of_stock_is_not_paid(client: Client) -> None:
    with at_work():
        order(client, 7, "teapot")
        ended("basket-7")
        order(client, 8, "teapot")
        run = ended("basket-8")

    assert run.status == "succeeded"
    assert '"out of stock"' in (run.result or "")
    assert Payment.objects.count() == 1
    assert not Message.objects.exists()
