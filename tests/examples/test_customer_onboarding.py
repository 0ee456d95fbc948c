"""A user is written to once a month, until they are gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from examples.customer_onboarding import customer_onboarding, user_state
from workflows_app.testing import WorkflowTest

ADA = {"email": "ada@example.org"}


def test_the_mail_of_a_month_follows_what_the_user_does(workflows: WorkflowTest):
    states = iter(["non-active", "active", "gone"])
    workflows.mock_step("check-user-state", calls=lambda email: next(states))

    run = workflows.start(customer_onboarding, ADA)
    assert run.waits_for == ["wait-for-3-days"]

    workflows.advance("3d")
    run.assert_steps(
        "new-signup",
        "wait-for-3-days",
        "check-user-state",
        "send-email-non-active",
        "wait-for-1-month",
    )
    workflows.advance("30d")
    run.assert_steps("check-user-state", "send-email-active", "wait-for-1-month")
    workflows.advance("30d")

    assert run.result == "gone after 2 months"


def test_a_process_that_dies_sends_no_mail_twice(workflows: WorkflowTest):
    sent: list[str] = []
    workflows.mock_step("check-user-state", returns="active")
    workflows.mock_step("send-email-active", calls=lambda email, text: sent.append(text))
    workflows.crash_after("send-email-active")

    workflows.start(customer_onboarding, ADA)
    workflows.advance("4d")

    assert sent == ["What is new this month"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("days", "state"), [(1, "active"), (40, "non-active")], ids=["lately", "long-ago"]
)
def test_who_has_logged_in_this_month_is_active(days: int, state: str):
    User.objects.create(
        username="ada", email=ADA["email"], last_login=timezone.now() - timedelta(days=days)
    )

    assert user_state(ADA["email"]) == state


@pytest.mark.django_db
def test_who_has_no_active_account_is_gone():
    User.objects.create(username="ada", email=ADA["email"], is_active=False)

    assert user_state(ADA["email"]) == "gone"
