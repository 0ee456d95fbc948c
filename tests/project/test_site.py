"""The pages of the demo site that are its own."""

from __future__ import annotations

import pytest

from project.shop.fulfillment import create_order, send_mail, ship, take_payment


def test_the_front_page_leads_to_the_admin(client):
    answer = client.get("/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


@pytest.mark.parametrize("model", ["order", "product", "payment", "shipment", "mail"])
def test_the_admin_shows_what_the_steps_have_written(admin_client, model: str):
    order = create_order({"userId": "ada", "items": [{"productId": "teapot"}]}, "wfr_1")
    take_payment(order["orderId"], "key")
    ship(order["orderId"], "key")
    send_mail(order["orderId"], "ada", "News", "key")

    page = admin_client.get(f"/admin/shop/{model}/")

    assert page.status_code == 200
    assert f"1 {model}" in page.content.decode()
