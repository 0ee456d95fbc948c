"""The demo's workflows, from trigger to end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from project.shop.models import Mail, Order, Payment, Product, Shipment
from project.workflows import fan_out, flaky_step, noop_steps, onboarding_wait, order_fulfillment
from tests.conftest import Clock
from workflows_app import InlineRun, RunFailed, notify
from workflows_app.engine.drain import drain_here
from workflows_app.models import Run, Step

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = {"userId": "ada", "items": [{"productId": "teapot", "quantity": 2}]}


def run_of(started: InlineRun) -> Run:
    return Run.objects.get(run_id=started.workflow_run_id)


def result_of(run: Run) -> Any:
    return None if run.result is None else json.loads(run.result)


def steps_of(run: Run) -> list[str]:
    return [step.name for step in Step.objects.filter(run=run).order_by("pk")]


def test_an_order_is_paid_shipped_and_announced_to_both_sides():
    run = run_of(order_fulfillment.run(ORDER))

    order = Order.objects.get()
    assert result_of(run) == {
        "orderId": order.pk,
        "customer": "ada",
        "paymentId": Payment.objects.get(order=order).pk,
        "amount": 3998,
        "shipmentId": Shipment.objects.get(order=order).pk,
        "status": "shipped",
    }
    assert order.run_id == run.run_id
    assert sorted(mail.recipient for mail in Mail.objects.all()) == ["ada", "warehouse"]
    *before, one, other = steps_of(run)
    assert before == ["create-order", "check-stock", "take-payment", "ship"]
    assert {one, other} == {"mail-customer", "mail-warehouse"}


def test_onboarding_waits_for_approval_and_returns_what_came_with_it():
    run = run_of(onboarding_wait.run({"user": "ada"}))
    assert run.is_live
    assert steps_of(run) == ["invite"]

    notify("approved", {"plan": "gold"})
    drain_here()

    run.refresh_from_db()
    assert result_of(run) == {"plan": "gold"}
    assert steps_of(run) == ["invite", "wait-for-approval", "welcome"]


def test_onboarding_gives_up_after_an_hour(clock: Clock):
    run = run_of(onboarding_wait.run())
    clock.advance("1h")
    drain_here()

    run.refresh_from_db()
    assert run.status == Run.Status.SUCCEEDED
    assert result_of(run) is None


def test_an_order_of_goods_that_are_short_costs_nothing():
    Product.objects.create(code="teapot", stock=1)

    run = run_of(order_fulfillment.run(ORDER))

    assert result_of(run) == {
        "orderId": Order.objects.get().pk,
        "customer": "ada",
        "status": "out of stock",
        "short": ["teapot"],
    }
    assert not Payment.objects.exists()


def test_what_is_no_order_fails_without_being_tried_again():
    with pytest.raises(RunFailed, match="an order looks like"):
        order_fulfillment.run({"userId": "ada"})

    assert not Order.objects.exists()


def test_a_flaky_step_succeeds_at_the_attempt_after_its_failures(clock):
    started = flaky_step.run({"failures": 2})
    for _ in range(2):
        assert run_of(started).status == Run.Status.RUNNING
        clock.advance("1s")
        drain_here()

    assert result_of(run_of(started)) == 3


def test_noop_steps_return_their_index():
    run = run_of(noop_steps.run({"steps": 3}))

    assert result_of(run) == 3
    assert [
        (step.name, json.loads(step.result or "null"))
        for step in Step.objects.filter(run=run).order_by("pk")
    ] == [("step-0", 0), ("step-1", 1), ("step-2", 2)]


def test_fan_out_sums_what_its_branches_return():
    assert fan_out.run({"branches": 20}).result == 190


@pytest.mark.parametrize("steps", [-1, "many", True, 1.5])
def test_a_number_that_is_none_is_refused(steps: Any):
    with pytest.raises(RunFailed, match='"steps" must be a whole number from 0'):
        noop_steps.run({"steps": steps})
