"""A webhook of Clerk: a new user becomes a customer of Stripe, and is welcomed.

Shows a view that checks what it receives and starts a run, once per message however often the
sender repeats it while that run lives: the id of the message is the id of the run. What the view
has returned is kept, so the sender may forget it.

    manage.py workflows trigger clerk-user-created --body '{"id": "user_1", "email":
        "ada@example.org", "name": "Ada Lovelace"}'
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from typing import TypedDict
from urllib.parse import urlencode

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from examples.mail import send_mail
from workflows_app import AsyncContext, WorkflowNonRetryableError, workflow


class NewUser(TypedDict):
    id: str
    email: str
    name: str


class ClerkAddress(TypedDict):
    email_address: str


class ClerkUser(TypedDict):
    """What is used here of what Clerk says about a user."""

    id: str
    first_name: str
    last_name: str
    email_addresses: list[ClerkAddress]


@csrf_exempt
@require_POST
def clerk_webhook(request: HttpRequest) -> JsonResponse:
    message = request.headers.get("Svix-Id", "")
    if not is_genuine(request, message):
        return JsonResponse({"error": "the signature does not fit"}, status=400)
    event = json.loads(request.body)
    if event["type"] != "user.created":
        return JsonResponse({"ignored": event["type"]})
    started = user_created.trigger(user_of(event["data"]), workflow_run_id=f"clerk-{message}")
    return JsonResponse({"workflowRunId": started.workflow_run_id}, status=202)


def is_genuine(request: HttpRequest, message: str) -> bool:
    """Whether one of its signatures is that of `{id}.{timestamp}.{body}` with the shared secret."""
    timestamp = request.headers.get("Svix-Timestamp", "")
    secret = base64.b64decode(os.environ.get("CLERK_WEBHOOK_SECRET", "").removeprefix("whsec_"))
    signed = b".".join([message.encode(), timestamp.encode(), request.body])
    wanted = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    given = request.headers.get("Svix-Signature", "").split()
    return bool(secret) and any(hmac.compare_digest(f"v1,{wanted}", each) for each in given)


def user_of(data: ClerkUser) -> NewUser:
    return {
        "id": data["id"],
        "email": data["email_addresses"][0]["email_address"],
        "name": f"{data['first_name']} {data['last_name']}",
    }


@workflow("clerk-user-created", retries=3)
async def user_created(context: AsyncContext) -> str:
    user: NewUser = context.request_payload
    answer = await context.call(
        "create-stripe-customer",
        url="https://api.stripe.com/v1/customers",
        method="POST",
        body=urlencode({"email": user["email"], "name": user["name"], "metadata[id]": user["id"]}),
        headers={
            "Authorization": f"Bearer {os.environ.get('STRIPE_API_KEY', '')}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Idempotency-Key": user["id"],
        },
        retries=5,
    )
    if answer.status != 200:
        raise WorkflowNonRetryableError(f"Stripe refused the customer: {answer.body}")
    await context.run("send-welcome-email", send_mail, user["email"], f"Welcome, {user['name']}")
    await context.sleep("wait-for-3-days", "3d")
    await context.run("send-tips", send_mail, user["email"], "Three things to try first")
    customer: str = answer.body["id"]
    return customer
