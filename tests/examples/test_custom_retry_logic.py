"""The workflow decides by itself when it asks again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from examples.custom_retry_logic import custom_retry_logic
from workflows_app.testing import WorkflowTest

ANSWER = {"choices": [{"message": {"content": "It is about Russia."}}]}


def waits_of(run: Any) -> list[timedelta]:
    return [step.ended_at - step.started_at for step in run.steps if step.kind == "sleep"]


def test_an_answer_is_stored(workflows: WorkflowTest):
    workflows.answer_call("call-openai", body=ANSWER)

    run = workflows.start(custom_retry_logic, {"user_data": "War and Peace"})

    assert run.result == "It is about Russia."
    assert workflows.sent[0].payload["messages"][0]["content"] == "War and Peace"


def test_a_limit_is_waited_for_as_long_as_the_service_says(workflows: WorkflowTest):
    workflows.answer_call("call-openai", status=429, headers={"x-ratelimit-reset-tokens": "6m0s"})
    workflows.answer_call("call-openai", status=429, headers={"x-ratelimit-reset-requests": "20s"})
    workflows.answer_call("call-openai", status=429)
    workflows.answer_call("call-openai", body=ANSWER)

    run = workflows.start(custom_retry_logic, {"user_data": "War and Peace"})
    workflows.advance_to_end(run)

    assert waits_of(run) == [
        timedelta(minutes=6),
        timedelta(seconds=20),
        timedelta(seconds=10),
    ]


def test_other_failures_are_waited_for_longer_and_longer(workflows: WorkflowTest):
    for _ in range(3):
        workflows.answer_call("call-openai", status=500)
    workflows.fail_call("call-openai", "timeout")
    workflows.answer_call("call-openai", body=ANSWER)

    run = workflows.start(custom_retry_logic, {"user_data": "War and Peace"})
    workflows.advance_to_end(run)

    assert run.result == "It is about Russia."
    assert [wait.total_seconds() for wait in waits_of(run)] == [1, 2, 4, 8]


def test_ten_failures_are_enough(workflows: WorkflowTest):
    workflows.answer_call("call-openai", status=500)

    run = workflows.start(custom_retry_logic, {"user_data": "War and Peace"})
    workflows.advance_to_end(run)

    assert run.status == "failed"
    assert len(workflows.sent) == 10
