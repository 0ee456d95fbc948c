"""Payment retries: three attempts, a day apart; then the account is suspended.

Shows a loop of attempts with sleeps of a day, and database steps. Days are part of the story, so
they are written into it. What `retries=` of a call is for is the network: seconds and minutes.

    manage.py workflows trigger payment-retries --body '{"user_id": 1, "amount": 1200}'
"""

from __future__ import annotations

from typing import Literal, TypedDict

from django.contrib.auth.models import User

from examples.mail import send_mail
from workflows_app import Context, workflow

PAYMENTS = "https://payments.example.org/charges"
ATTEMPTS = 3


class Charge(TypedDict):
    user_id: int
    amount: int
    """In cents."""


@workflow("payment-retries", retries=3, transport="local")  # atomic needs it
def payment_retries(context: Context) -> Literal["paid", "suspended"]:
    charge: Charge = context.request_payload
    user_id = charge["user_id"]
    email = context.run("get-user", email_of, user_id)
    for attempt in range(1, ATTEMPTS + 1):
        if is_charged(context, charge, attempt):
            if context.run("check-suspension", is_suspended, user_id):
                context.atomic("unsuspend-user", unsuspend, user_id)
            context.run("send-invoice", send_mail, email, f"Paid, with thanks: {charge['amount']}")
            return "paid"
        if attempt < ATTEMPTS:
            context.sleep("wait-for-retry", "24h")
    context.atomic("suspend-user", suspend, user_id)
    context.run("send-suspended", send_mail, email, "Your account is suspended")
    return "suspended"


def is_charged(context: Context, charge: Charge, attempt: int) -> bool:
    """The key has the attempt in it: what is sent twice within one must not be charged twice, but
    tomorrow's attempt is another.
    """
    answer = context.call(
        "charge-customer",
        url=PAYMENTS,
        method="POST",
        body=charge,
        headers={"Idempotency-Key": f"{context.workflow_run_id}:{attempt}"},
        timeout="30s",
    )
    return answer.status == 200


def email_of(user_id: int) -> str:
    return User.objects.get(pk=user_id).email


def is_suspended(user_id: int) -> bool:
    return not User.objects.get(pk=user_id).is_active


def suspend(user_id: int) -> None:
    User.objects.filter(pk=user_id).update(is_active=False)


def unsuspend(user_id: int) -> None:
    User.objects.filter(pk=user_id).update(is_active=True)
