"""Clerk tells of a new user."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from examples.clerk_webhook import clerk_webhook, user_created
from workflows_app.testing import WorkflowTest

SECRET = b"a secret between two"
USER_CREATED = {
    "type": "user.created",
    "data": {
        "id": "user_1",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email_addresses": [{"email_address": "ada@example.org"}],
    },
}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLERK_WEBHOOK_SECRET", f"whsec_{base64.b64encode(SECRET).decode()}")


def clerk_sends(event: object, secret: bytes = SECRET) -> HttpResponse:
    body = json.dumps(event)
    signed = hmac.digest(secret, f"msg_1.1700000000.{body}".encode(), hashlib.sha256)
    request = RequestFactory().post(
        "/webhooks/clerk",
        body,
        content_type="application/json",
        headers={
            "Svix-Id": "msg_1",
            "Svix-Timestamp": "1700000000",
            "Svix-Signature": f"v1,another v1,{base64.b64encode(signed).decode()}",
        },
    )
    return clerk_webhook(request)


def test_a_new_user_becomes_a_customer_and_is_welcomed(workflows: WorkflowTest):
    workflows.answer_call("create-stripe-customer", body={"id": "cus_1"})

    answer = clerk_sends(USER_CREATED)
    (run,) = workflows.runs(user_created)
    workflows.advance("3d")

    assert answer.status_code == 202
    assert run.result == "cus_1"
    assert parse_qs(workflows.sent[0].payload) == {
        "email": ["ada@example.org"],
        "name": ["Ada Lovelace"],
        "metadata[id]": ["user_1"],
    }
    run.assert_step("send-welcome-email", result="to ada@example.org: Welcome, Ada Lovelace")
    run.assert_step("send-tips", attempts=1)


def test_a_message_that_is_repeated_starts_one_run(workflows: WorkflowTest):
    workflows.answer_call("create-stripe-customer", body={"id": "cus_1"})

    first, second = clerk_sends(USER_CREATED), clerk_sends(USER_CREATED)

    assert first.content == second.content
    assert len(workflows.runs(user_created)) == 1


@pytest.mark.usefixtures("workflows")
def test_other_messages_are_ignored():
    answer = clerk_sends({"type": "user.deleted", "data": {}})

    assert json.loads(answer.content) == {"ignored": "user.deleted"}


def test_what_clerk_has_not_signed_is_refused(workflows: WorkflowTest):
    answer = clerk_sends(USER_CREATED, secret=b"a guess")

    assert answer.status_code == 400
    assert workflows.runs() == []


def test_without_a_secret_nothing_is_believed(
    workflows: WorkflowTest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CLERK_WEBHOOK_SECRET")

    answer = clerk_sends(USER_CREATED, secret=b"")

    assert answer.status_code == 400
    assert workflows.runs() == []


def test_a_refusal_of_stripe_fails_the_run(workflows: WorkflowTest):
    workflows.answer_call("create-stripe-customer", status=402, body="no")

    run = workflows.start(user_created, {"id": "user_1", "email": "ada@example.org", "name": "Ada"})
    workflows.advance_to_end(run)

    assert run.error is not None
    assert run.error.message == "Stripe refused the customer: no"
