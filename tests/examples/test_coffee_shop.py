"""Coffee is made of what is there."""

from __future__ import annotations

from examples.coffee_shop import brew_coffee
from workflows_app.testing import WorkflowTest


def test_with_all_in_stock_coffee_is_brewed(workflows: WorkflowTest):
    run = workflows.start(brew_coffee, {"cups": 2})

    assert run.result == "2 cups of coffee, with thanks"
    run.assert_steps(
        "check-coffee-beans", "check-cups", "check-milk", "brew-coffee", "print-receipt"
    )


def test_without_milk_the_run_is_cancelled(workflows: WorkflowTest):
    run = workflows.start(brew_coffee, {"cups": 4})

    assert run.status == "canceled"
    run.assert_step("check-milk", result=False)
