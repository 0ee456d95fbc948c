"""Runs and the rows of other models that their labels name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from project.shop.models import Order
from tests.admin import flows
from tests.admin.pages import read
from workflows_app import label_of
from workflows_app.errors import InvalidInput
from workflows_app.models import Run, WorkflowLimit

RUNS = "/admin/workflows_app/run/"


@pytest.fixture
def order(db: None) -> Order:
    order = Order.objects.create(customer="ada", run_id="")
    flows.nap.trigger(workflow_run_id="nap-1", labels=[label_of(order), "auth.user/1", "no.such/1"])
    return order


def page_of(order: Order) -> str:
    return f"/admin/shop/order/{order.pk}/change/"


def test_a_label_that_names_a_row_leads_to_its_page(admin_client: Client, order: Order):
    run = Run.objects.get()

    for address in (RUNS, f"{RUNS}{run.pk}/change/"):
        page = admin_client.get(address).content.decode()
        assert f'href="{page_of(order)}">shop.order/{order.pk}</a>' in page
        assert f'href="{RUNS}?label=no.such%2F1">no.such/1</a>' in page


def test_rows_that_one_may_not_see_are_not_linked(client_with: Callable[..., Client], order: Order):
    page = client_with("view_run", "view_user").get(RUNS).content.decode()

    assert page_of(order) not in page
    assert "/admin/auth/user/1/change/" in page


def test_the_page_of_a_row_shows_its_runs(admin_client: Client, order: Order):
    page = admin_client.get(page_of(order))

    assert "Workflow runs\nqueued admin-nap nap-1" in read(page)
    assert f'href="{RUNS}?label=shop.order%2F{order.pk}"' in page.content.decode()
    assert "Workflow runs" not in read(admin_client.get("/admin/shop/order/add/"))


def test_runs_that_one_may_not_see_are_not_shown_with_a_row(
    client_with: Callable[..., Client], order: Order, django_user_model: Any
):
    client = client_with("view_order")
    assert "Workflow runs" not in read(client.get(page_of(order)))

    staff = django_user_model.objects.get(username="staff")
    group = Group.objects.create(name="others")
    WorkflowLimit.objects.create(group=group, workflow="another")
    staff.groups.add(group)
    staff.user_permissions.add(Permission.objects.get(codename="view_run"))

    assert "nap-1" not in read(client.get(page_of(order)))


def test_a_row_that_is_not_saved_has_no_label():
    with pytest.raises(InvalidInput, match="save it first"):
        label_of(Order())
