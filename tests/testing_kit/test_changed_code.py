"""Code that changes under runs in flight, as a test deploys it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shells import Define
from workflows_app.testing import WorkflowTest

pytestmark = pytest.mark.django_db


async def old(context: Any) -> str:
    await context.run("pack", lambda: "box")
    await context.sleep("a-day", "1d")
    return "old"


def test_a_run_whose_code_no_longer_fits_fails_and_the_test_goes_on(
    define: Define, flows: WorkflowTest
):
    run = flows.start(define("order")(old))

    @define("order")
    async def renamed(context: Any) -> None:
        await context.run("wrap", lambda: "paper")

    flows.advance("1d")

    assert run.error is not None
    assert run.error.type == "IncompatibleHistory"


@pytest.mark.parametrize("replaying", ["as it comes", "always"])
def test_a_patched_workflow_serves_old_runs_and_new_ones(
    define: Define, flows: WorkflowTest, replaying: str
):
    if replaying == "always":
        flows.always_replay()
    before = flows.start(define("order")(old))

    @define("order")
    async def patched(context: Any) -> str:
        await context.run("pack", lambda: "box")
        is_new = await context.patched("gift-wrap")
        if is_new:
            await context.run("wrap", lambda: "paper")
        await context.sleep("a-day", "1d")
        return "new" if is_new else "old"

    after = flows.start(patched)
    flows.advance("1d")

    assert before.result == "old"
    assert after.result == "new"
