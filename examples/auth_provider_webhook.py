"""A webhook of an auth provider: someone has signed up, and gets a trial of two weeks.

Shows `atomic` for what is written to this database, form-encoded calls of Stripe that are told
apart by an idempotency key, and a story of two weeks that reads from top to bottom.

    manage.py workflows trigger auth-provider-webhook --body '{"name": "Ada", "email":
        "ada@example.org"}'
"""

from __future__ import annotations

import os
from typing import Literal, TypedDict
from urllib.parse import urlencode

from django.contrib.auth.models import User

from examples.mail import send_mail
from workflows_app import Context, WorkflowNonRetryableError, workflow

STRIPE = "https://api.stripe.com/v1"
FORM = "application/x-www-form-urlencoded"


class Stats(TypedDict):
    total_problems_solved: int
    most_interested_topic: str


@workflow("auth-provider-webhook", retries=3, transport="local")  # atomic needs it
def auth_provider_webhook(context: Context) -> Literal["upgraded", "trial ended"]:
    name: str = context.request_payload["name"]
    email: str = context.request_payload["email"]
    user_id = context.atomic("sync user", create_user_in_database, name, email)

    customer = stripe(context, "create new user in stripe", "customers", name=name, email=email)
    trial = stripe(
        context, "start trial in Stripe", "subscriptions", customer=customer, trial_period_days="14"
    )
    context.run("send welcome email", send_mail, email, "Welcome! Your trial lasts 14 days.")

    context.sleep("wait", "7d")
    stats = context.run("get user stats", get_user_stats, user_id)
    context.run("send problem solved email", send_mail, email, praise(stats))

    context.sleep("wait for trial warning", "5d")
    if stripe_status(context, "check upgraded plan", trial) == "active":
        return "upgraded"
    context.run("send trial warning email", send_mail, email, "Your trial ends in 2 days.")

    context.sleep("wait for trial end", "2d")
    if stripe_status(context, "check upgraded plan", trial) == "active":
        return "upgraded"
    context.run("send trial end email", send_mail, email, "Your trial has ended.")
    return "trial ended"


def create_user_in_database(name: str, email: str) -> int:
    """In a step of `atomic` there is one user afterwards, whatever crashes."""
    return User.objects.create_user(username=email, email=email, first_name=name).pk


def stripe(context: Context, step: str, resource: str, **fields: str) -> str:
    """Make something at Stripe. Returns its id."""
    headers = {
        "Authorization": stripe_token(),
        "Content-Type": FORM,
        "Idempotency-Key": f"{context.workflow_run_id}:{step}",
    }
    answer = context.call(
        step,
        url=f"{STRIPE}/{resource}",
        method="POST",
        body=urlencode(fields),
        headers=headers,
        retries=5,
        retry_delay="10s",
    )
    if answer.status != 200:
        raise WorkflowNonRetryableError(f"Stripe refused to {step}: {answer.body}")
    made: str = answer.body["id"]
    return made


def stripe_status(context: Context, step: str, subscription: str) -> str:
    answer = context.call(
        step,
        url=f"{STRIPE}/subscriptions/{subscription}",
        headers={"Authorization": stripe_token()},
        retries=5,
    )
    return answer.body["status"] if answer.status == 200 else "unknown"


def stripe_token() -> str:
    return f"Bearer {os.environ.get('STRIPE_API_KEY', 'sk_test')}"


def get_user_stats(user_id: int) -> Stats:
    """What this site knows about the user; made up here."""
    return {"total_problems_solved": user_id % 3, "most_interested_topic": "graphs"}


def praise(stats: Stats) -> str:
    solved, topic = stats["total_problems_solved"], stats["most_interested_topic"]
    if solved == 0:
        return "Your first problem waits for you."
    return f"You have solved {solved} problems, most of them about {topic}."
