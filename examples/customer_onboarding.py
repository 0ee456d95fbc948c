"""Customer onboarding: a welcome, and from then on a mail a month that depends on what a user does.

Shows a run that goes on for years: it sleeps without holding a worker, and begins anew each month
with an empty journal, until the user is gone.

    manage.py workflows trigger customer-onboarding --run-id onboarding-ada --body '{"email":
        "ada@example.org"}'
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, NotRequired, TypedDict

from django.contrib.auth.models import User
from django.utils import timezone

from examples.mail import send_mail
from workflows_app import Context, workflow

UserState = Literal["active", "non-active", "gone"]


class Customer(TypedDict):
    email: str
    month: NotRequired[int]
    """How many have passed; none when someone has just signed up."""


@workflow("customer-onboarding", retries=3)
def customer_onboarding(context: Context) -> str:
    customer: Customer = context.request_payload
    email, month = customer["email"], customer.get("month", 0)
    if month == 0:
        context.run("new-signup", send_mail, email, "Welcome to the platform")
        context.sleep("wait-for-3-days", "3d")
    # What a database says may differ from replay to replay, so it is asked in a step.
    state = context.run("check-user-state", user_state, email)
    if state != "gone":
        if state == "active":
            context.run("send-email-active", send_mail, email, "What is new this month")
        else:
            context.run("send-email-non-active", send_mail, email, "We miss you")
        context.sleep("wait-for-1-month", "30d")
        context.continue_as_new({"email": email, "month": month + 1})
    return f"gone after {month} months"


def user_state(email: str) -> UserState:
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        return "gone"
    month_ago = timezone.now() - timedelta(days=30)
    return "active" if user.last_login and user.last_login > month_ago else "non-active"
