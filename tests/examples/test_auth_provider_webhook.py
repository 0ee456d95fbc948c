"""A trial of two weeks, told by mails."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs

from django.contrib.auth.models import User

from examples.auth_provider_webhook import auth_provider_webhook
from workflows_app.testing import WorkflowTest

ADA = {"name": "Ada", "email": "ada@example.org"}


def stripe_makes(workflows: WorkflowTest) -> None:
    workflows.answer_call("create new user in stripe", body={"id": "cus_1"})
    workflows.answer_call("start trial in Stripe", body={"id": "sub_1"})


def test_who_does_not_upgrade_is_warned_and_told_of_the_end(workflows: WorkflowTest):
    stripe_makes(workflows)
    workflows.answer_call("check upgraded plan", body={"status": "trialing"})
    workflows.mock_step(
        "get user stats", returns={"total_problems_solved": 4, "most_interested_topic": "trees"}
    )

    run = workflows.start(auth_provider_webhook, ADA)
    began = workflows.now
    workflows.advance_to_end(run)

    assert run.result == "trial ended"
    assert workflows.now - began == timedelta(days=14)
    assert [step.result for step in run.steps if step.name.endswith("email")] == [
        "to ada@example.org: Welcome! Your trial lasts 14 days.",
        "to ada@example.org: You have solved 4 problems, most of them about trees.",
        "to ada@example.org: Your trial ends in 2 days.",
        "to ada@example.org: Your trial has ended.",
    ]


def test_who_upgrades_is_left_in_peace(workflows: WorkflowTest):
    stripe_makes(workflows)
    workflows.answer_call("check upgraded plan", body={"status": "active"})

    run = workflows.start(auth_provider_webhook, ADA)
    workflows.advance_to_end(run)

    assert run.result == "upgraded"
    assert "send trial warning email" not in [step.name for step in run.steps]


def test_stripe_is_sent_forms_with_a_key_per_step(workflows: WorkflowTest):
    stripe_makes(workflows)

    run = workflows.start(auth_provider_webhook, ADA)

    customer, trial = workflows.sent
    assert parse_qs(customer.payload) == {"name": ["Ada"], "email": ["ada@example.org"]}
    assert parse_qs(trial.payload) == {"customer": ["cus_1"], "trial_period_days": ["14"]}
    assert trial.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert [request.headers["Idempotency-Key"] for request in (customer, trial)] == [
        f"{run.workflow_run_id}:create new user in stripe",
        f"{run.workflow_run_id}:start trial in Stripe",
    ]


def test_a_process_that_dies_makes_no_second_user(workflows: WorkflowTest):
    stripe_makes(workflows)
    workflows.crash_before_storing("sync user")

    workflows.start(auth_provider_webhook, ADA)

    assert [user.first_name for user in User.objects.all()] == ["Ada"]


def test_a_refusal_of_stripe_fails_the_run(workflows: WorkflowTest):
    workflows.answer_call("create new user in stripe", status=402, body="no")

    run = workflows.start(auth_provider_webhook, ADA)
    workflows.advance_to_end(run)

    assert run.error is not None
    assert run.error.message == "Stripe refused to create new user in stripe: no"
