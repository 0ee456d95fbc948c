"""An expense is approved, declined or forgotten."""

from __future__ import annotations

import pytest

from examples.expense_approval import LIMIT, ExpenseApproval
from workflows_app.testing import RunUnderTest, WorkflowTest

PAY_OUT = "pay out"


def start(workflows: WorkflowTest, amount: int = 120) -> RunUnderTest:
    return workflows.start(
        ExpenseApproval.workflow, {"employee": "ada@example.org", "amount": amount}
    )


def test_what_is_approved_is_paid(workflows: WorkflowTest):
    run = start(workflows)
    workflows.notify("decided", {"approved": True}, run=run)

    assert run.result == "paid"
    run.assert_step(PAY_OUT, result="120 to ada@example.org, from the reservation of 120")


def test_what_is_declined_is_not(workflows: WorkflowTest):
    run = start(workflows)
    workflows.notify("decided", {"approved": False}, run=run)

    assert run.result == "declined"
    assert PAY_OUT not in [step.name for step in run.steps]


def test_nobody_waits_longer_than_three_days(workflows: WorkflowTest):
    run = start(workflows)
    workflows.advance("3d")

    assert run.result == "forgotten"
    run.assert_step("tell about the silence", result="to ada@example.org: Ask again, please")


def test_a_payment_is_tried_again_and_goes_through(workflows: WorkflowTest):
    workflows.fail_step(PAY_OUT, times=2, error=ConnectionError("bank is closed"))
    run = start(workflows)
    began = workflows.now
    workflows.notify("decided", {"approved": True}, run=run)
    workflows.advance_to_end(run)

    assert run.result == "paid"
    assert (workflows.now - began).total_seconds() == 10 + 20


def test_a_payment_that_fails_for_good_releases_the_money(workflows: WorkflowTest):
    workflows.fail_step(PAY_OUT, times=4, error=ConnectionError("bank is closed"))
    run = start(workflows)
    workflows.notify("decided", {"approved": True}, run=run)
    workflows.advance_to_end(run)

    assert run.error is not None
    assert (run.error.type, run.error.step) == ("ConnectionError", PAY_OUT)
    assert "undo reserve the money" in [step.name for step in run.steps]


@pytest.mark.parametrize("amount", [LIMIT + 1])
def test_too_much_is_refused_at_once(workflows: WorkflowTest, amount: int):
    run = start(workflows, amount)

    assert run.error is not None
    assert run.error.type == "NonRetryableError"
