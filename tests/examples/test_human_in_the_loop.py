"""A person decides, or does not."""

from __future__ import annotations

import json

import pytest
from django.http import JsonResponse
from django.test import RequestFactory

from examples.human_in_the_loop import decide, human_in_the_loop, show
from workflows_app.testing import WorkflowTest

REQUEST = {"user_id": "user_123", "action": "approve_document"}


def decided(run_id: str, *, approved: bool) -> JsonResponse:
    request = RequestFactory().post(
        "/decide", {"approved": approved, "by": "Ann"}, content_type="application/json"
    )
    return decide(request, run_id)


@pytest.mark.parametrize("decision", ["published", "rejected"])
def test_the_run_goes_on_with_the_decision(workflows: WorkflowTest, decision: str):
    approved = decision == "published"
    run = workflows.start(human_in_the_loop, REQUEST)
    assert run.waits_for == ["wait-for-approval"]

    answer = decided(run.workflow_run_id, approved=approved)
    workflows.work()

    assert json.loads(answer.content) == {"notified": 1}
    assert run.result == {
        "approved": approved,
        "by": "Ann",
        "result": f"approve document: {decision}",
    }


def shown(run_id: str) -> str:
    answer = show(RequestFactory().get("/show"), run_id)
    return str(json.loads(answer.content)["state"])


def test_a_page_can_show_that_a_decision_is_waited_for(workflows: WorkflowTest):
    run = workflows.start(human_in_the_loop, REQUEST)
    while_it_waits = shown(run.workflow_run_id)

    decided(run.workflow_run_id, approved=True)
    workflows.work()

    assert while_it_waits == "waits for a decision"
    assert shown(run.workflow_run_id) == "finished"


def test_a_decision_about_one_run_leaves_others_waiting(workflows: WorkflowTest):
    first, second = (workflows.start(human_in_the_loop, REQUEST) for _ in range(2))

    decided(first.workflow_run_id, approved=True)
    workflows.work()

    assert (first.status, second.status) == ("succeeded", "running")


def test_without_a_decision_the_run_is_cancelled_after_a_week(workflows: WorkflowTest):
    run = workflows.start(human_in_the_loop, REQUEST)

    workflows.advance("7d")

    assert run.status == "canceled"
