"""An AI asks others."""

from __future__ import annotations

from examples.orchestrator_workers import MOST_WORKERS, orchestrator_workers
from workflows_app.testing import WorkflowTest


def said(text: str) -> dict[str, object]:
    return {"content": [{"type": "text", "text": text}]}


def test_as_many_workers_are_asked_as_there_are_parts(workflows: WorkflowTest):
    workflows.answer_call("plan", body=said("What is steam?\n\nWhat is a whistle?"))
    workflows.answer_call("worker-0", body=said("Hot water."))
    workflows.answer_call("worker-1", body=said("A narrow hole."))
    workflows.answer_call("sum-up", body=said("Steam leaves by a narrow hole."))

    run = workflows.start(orchestrator_workers, {"question": "How do kettles whistle?"})

    assert run.result == "Steam leaves by a narrow hole."
    assert workflows.sent[-1].payload["messages"][0]["content"] == "Hot water.\nA narrow hole."
    assert workflows.sent[0].headers["Anthropic-Version"] == "2023-06-01"


def test_a_plan_that_is_too_long_is_cut(workflows: WorkflowTest):
    workflows.answer_call("plan", body=said("\n".join(["Why?"] * 20)))
    workflows.answer_call("https://api.anthropic.com/v1/messages", body=said("So."))

    run = workflows.start(orchestrator_workers, {"question": "Why?"})

    assert run.result == "So."
    assert len(workflows.sent) == MOST_WORKERS + 2


def test_a_refusal_fails_the_run(workflows: WorkflowTest):
    workflows.answer_call("plan", status=401, body="no such key")

    run = workflows.start(orchestrator_workers, {"question": "Why?"})
    workflows.advance_to_end(run)

    assert run.error is not None
    assert run.error.message == "plan was answered 401: no such key"
