"""An order is fulfilled, refused, or paid back."""

from __future__ import annotations

from examples.order_fulfillment import order_fulfillment
from workflows_app.testing import WorkflowTest

ORDER = {"user_id": "ada", "items": [{"product_id": "teapot", "quantity": 2}]}


def test_an_order_is_paid_dispatched_and_confirmed(workflows: WorkflowTest):
    workflows.mock_step("create-order-id", returns="order-7")
    workflows.answer_call("dispatch-order", body={"parcel": 3})

    run = workflows.start(order_fulfillment, ORDER)

    assert run.result == {"order_id": "order-7", "status": "dispatched"}
    run.assert_steps(
        "create-order-id",
        "check-stock",
        "process-payment",
        "dispatch-order",
        "send-confirmation",
        "send-dispatch-notification",
    )
    run.assert_step("send-confirmation", result="to ada: order-7 is paid")
    run.assert_step("send-dispatch-notification", result="to ada: order-7 is on its way")
    (dispatch,) = workflows.sent
    assert dispatch.headers["Idempotency-Key"] == "order-7"
    assert dispatch.payload == {"order_id": "order-7", "items": ORDER["items"]}


def test_what_is_not_in_stock_is_neither_paid_nor_dispatched(workflows: WorkflowTest):
    run = workflows.start(
        order_fulfillment, {"user_id": "ada", "items": [{"product_id": "sieve", "quantity": 1}]}
    )

    assert run.result["status"] == "out of stock"
    run.assert_steps("create-order-id", "check-stock")
    run.assert_step("check-stock", result=["sieve"])


def test_an_order_that_cannot_be_dispatched_is_paid_back(workflows: WorkflowTest):
    workflows.fail_call("dispatch-order")

    run = workflows.start(order_fulfillment, ORDER)
    workflows.advance_to_end(run)

    assert run.status == "canceled"
    assert len(workflows.sent) == 4, "a call and its three retries"
    run.assert_steps(
        "create-order-id",
        "check-stock",
        "process-payment",
        "dispatch-order",
        "rollback",
        "undo process-payment",
    )


def test_a_payment_that_fails_is_given_back_too(workflows: WorkflowTest):
    workflows.fail_step("process-payment", times=4, error=ConnectionError("no answer"))

    run = workflows.start(order_fulfillment, ORDER)
    workflows.advance_to_end(run)

    assert run.status == "failed"
    run.assert_step("process-payment", attempts=4, error=ConnectionError)
    run.assert_step("undo process-payment", attempts=1)


def test_a_process_that_dies_does_not_change_the_number_of_the_order(workflows: WorkflowTest):
    workflows.answer_call("dispatch-order")
    workflows.crash_after("create-order-id")
    workflows.crash_before_storing("process-payment")

    run = workflows.start(order_fulfillment, ORDER)

    order_id = run.step("create-order-id").result
    assert run.result == {"order_id": order_id, "status": "dispatched"}
    run.assert_step("process-payment", result=f"payment of {order_id}")
