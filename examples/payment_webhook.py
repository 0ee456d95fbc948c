"""A service that calls back: the run makes a webhook, hands out its URL and waits for the call.

Shows `create_webhook` and `wait_for_webhook` with a timeout, and how the signature of the call is
checked: whoever knows the URL may call it.

    manage.py workflows trigger payment-webhook --body '{"order_id": "7", "amount": 1200}'
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Literal, TypedDict

from workflows_app import Context, WebhookRequest, WorkflowNonRetryableError, workflow

PAYMENTS = "https://payments.example.org/payments"


class Order(TypedDict):
    order_id: str
    amount: int
    """In cents."""


@workflow("payment-webhook", retries=3)
def payment_webhook(context: Context) -> Literal["paid", "refused", "too late"]:
    order: Order = context.request_payload
    webhook = context.create_webhook("create-webhook")
    started = context.call(
        "start-payment",
        url=PAYMENTS,
        method="POST",
        body={**order, "callback": webhook.webhook_url},
        headers={"Idempotency-Key": context.workflow_run_id},
        retries=3,
    )
    if started.status != 201:
        raise WorkflowNonRetryableError(f"the payment was not started: {started.body}")

    while True:
        call = context.wait_for_webhook("wait-for-payment", webhook, timeout="1h")
        if call.request is None:
            payment = f"{PAYMENTS}/{started.body['id']}"
            context.call("cancel-payment", url=payment, method="DELETE", retries=5)
            return "too late"
        if is_genuine(call.request):
            return "paid" if call.request.payload["status"] == "paid" else "refused"


def is_genuine(request: WebhookRequest) -> bool:
    """Whether it is signed with the secret that the service shares with this site."""
    signed = hmac.new(webhook_secret(), request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signed, request.headers.get("X-Signature", ""))


def webhook_secret() -> bytes:
    return os.environ.get("PAYMENTS_WEBHOOK_SECRET", "for development").encode()
