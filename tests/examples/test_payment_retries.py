"""A payment is tried on three days."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from examples.payment_retries import payment_retries
from workflows_app.testing import WorkflowTest


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada", email="ada@example.org")


def test_a_payment_that_succeeds_is_invoiced(workflows: WorkflowTest, ada: User):
    workflows.answer_call("charge-customer")

    run = workflows.start(payment_retries, {"user_id": ada.pk, "amount": 1200})

    assert run.result == "paid"
    run.assert_step("send-invoice", result="to ada@example.org: Paid, with thanks: 1200")


def test_each_day_is_an_attempt_with_a_key_of_its_own(workflows: WorkflowTest, ada: User):
    workflows.answer_call("charge-customer", status=402)
    workflows.answer_call("charge-customer", status=402)
    workflows.answer_call("charge-customer", status=200)

    run = workflows.start(payment_retries, {"user_id": ada.pk, "amount": 1200})
    began = workflows.now
    workflows.advance_to_end(run)

    assert run.result == "paid"
    assert workflows.now - began == timedelta(days=2)
    assert [request.headers["Idempotency-Key"] for request in workflows.sent] == [
        f"{run.workflow_run_id}:{attempt}" for attempt in (1, 2, 3)
    ]


def test_three_refusals_suspend_the_account(workflows: WorkflowTest, ada: User):
    workflows.answer_call("charge-customer", status=402)

    run = workflows.start(payment_retries, {"user_id": ada.pk, "amount": 1200})
    workflows.advance_to_end(run)

    ada.refresh_from_db()
    assert (run.result, ada.is_active) == ("suspended", False)
    run.assert_step("send-suspended", result="to ada@example.org: Your account is suspended")


def test_a_suspended_account_that_pays_is_open_again(workflows: WorkflowTest, ada: User):
    User.objects.update(is_active=False)
    workflows.answer_call("charge-customer")

    run = workflows.start(payment_retries, {"user_id": ada.pk, "amount": 1200})

    ada.refresh_from_db()
    assert (run.result, ada.is_active) == ("paid", True)
