"""Two are asked, one is heard."""

from __future__ import annotations

from examples.fastest_answer import fastest_answer
from workflows_app.testing import WorkflowTest

QUESTION = {"question": "Why is the sky blue?"}
OPENAI = {"choices": [{"message": {"content": "Rayleigh."}}]}
ANTHROPIC = {"content": [{"type": "text", "text": "Scattering."}]}


def test_the_first_answer_wins(workflows: WorkflowTest):
    workflows.answer_call("ask-openai", status=429)
    workflows.answer_call("ask-openai", body=OPENAI)
    workflows.answer_call("ask-anthropic", body=ANTHROPIC)

    run = workflows.start(fastest_answer, QUESTION)
    workflows.advance("2m")

    assert run.result == "Scattering."
    assert len(workflows.sent) == 2, "the loser is not asked again"


def test_who_is_refused_leaves_it_to_the_other(workflows: WorkflowTest):
    workflows.answer_call("ask-openai", status=401)
    workflows.answer_call("ask-anthropic", status=529)
    workflows.answer_call("ask-anthropic", body=ANTHROPIC)

    run = workflows.start(fastest_answer, QUESTION)
    workflows.advance("5s")
    assert run.status == "running"
    workflows.advance("5s")

    assert run.result == "Scattering."


def test_after_a_minute_nobody_has_won(workflows: WorkflowTest):
    workflows.fail_call("ask-openai")
    workflows.fail_call("ask-anthropic")

    run = workflows.start(fastest_answer, QUESTION)
    workflows.advance("1m")

    assert run.error is not None
    assert run.error.message == "nobody answered in time"
