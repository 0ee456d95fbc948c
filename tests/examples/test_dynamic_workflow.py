"""The payload names the steps."""

from __future__ import annotations

from examples.dynamic_workflow import dynamic_workflow
from workflows_app.testing import WorkflowTest


def test_the_functions_are_called_in_the_order_of_the_payload(workflows: WorkflowTest):
    run = workflows.start(
        dynamic_workflow, {"version": "0.1", "functions": ["AddOne", "MultiplyWithTwo", "AddOne"]}
    )

    assert run.result == 3
    run.assert_steps("step-0:AddOne", "step-1:MultiplyWithTwo", "step-2:AddOne")


def test_an_unknown_function_fails_the_run_without_retries(workflows: WorkflowTest):
    run = workflows.start(dynamic_workflow, {"version": "0.1", "functions": ["AddOne", "Divide"]})

    assert run.status == "failed"
    run.assert_step("step-1:Divide", attempts=1, error="WorkflowNonRetryableError")
