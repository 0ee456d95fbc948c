"""One run waits for what another does."""

from __future__ import annotations

from datetime import timedelta

from examples.order_processing import order_processing, warehouse
from workflows_app.testing import WorkflowTest

ORDER = {"order_id": "7", "email": "ada@example.org"}


def test_the_warehouse_tells_the_run_that_asked(workflows: WorkflowTest):
    run = workflows.start(order_processing, ORDER)
    assert [wait.event_id for wait in run.waits] == ["order-7"]

    workflows.advance("2m")

    assert run.result == "processed"
    run.assert_step("process-order", result="reserved on shelf 3")
    run.assert_step(
        "send-confirmation-email", result="to ada@example.org: Your order is processed!"
    )


def test_after_ten_minutes_it_waits_no_longer(workflows: WorkflowTest):
    workflows.fail_step("find", times=4, workflow=warehouse)

    run = workflows.start(order_processing, ORDER)
    began = workflows.now
    workflows.advance_to_end(run)

    assert run.result == "given up"
    assert workflows.now - began == timedelta(minutes=10)


def test_a_process_that_dies_while_it_asks_asks_once(workflows: WorkflowTest):
    workflows.crash_before_storing("request-order-processing")

    workflows.start(order_processing, ORDER)

    assert len(workflows.runs(warehouse)) == 1
