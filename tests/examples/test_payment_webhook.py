"""A payment service calls back."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from examples.payment_webhook import payment_webhook, webhook_secret
from workflows_app.testing import WorkflowTest
from workflows_app.testing.runs import RunUnderTest

ORDER = {"order_id": "7", "amount": 1200}


def started(workflows: WorkflowTest) -> RunUnderTest:
    workflows.answer_call("start-payment", status=201, body={"id": "pay_1"})
    return workflows.start(payment_webhook, ORDER)


def calls_back(workflows: WorkflowTest, status: str, secret: bytes) -> None:
    body = json.dumps({"status": status}).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    url = workflows.sent[0].payload["callback"]
    workflows.deliver_webhook(url, body=body, headers={"X-Signature": signature})


@pytest.mark.parametrize(("status", "result"), [("paid", "paid"), ("declined", "refused")])
def test_the_run_goes_on_with_what_the_service_says(
    workflows: WorkflowTest, status: str, result: str
):
    run = started(workflows)

    calls_back(workflows, status, webhook_secret())

    assert run.result == result


def test_a_call_with_another_signature_changes_nothing(workflows: WorkflowTest):
    run = started(workflows)

    calls_back(workflows, "paid", b"a guess")
    assert run.waits_for == ["wait-for-payment"]
    calls_back(workflows, "declined", webhook_secret())

    assert run.result == "refused"


def test_a_payment_that_nobody_makes_is_cancelled(workflows: WorkflowTest):
    run = started(workflows)
    workflows.answer_call("cancel-payment", status=204)

    workflows.advance("1h")

    assert run.result == "too late"
    assert (workflows.sent[-1].method, workflows.sent[-1].url) == (
        "DELETE",
        "https://payments.example.org/payments/pay_1",
    )


def test_a_payment_that_is_not_started_fails_the_run(workflows: WorkflowTest):
    workflows.answer_call("start-payment", status=400, body="no such order")

    run = workflows.start(payment_webhook, ORDER)
    workflows.advance_to_end(run)

    assert run.error is not None
    assert run.error.message == "the payment was not started: no such order"
