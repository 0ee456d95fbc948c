"""Misuse of steps fails the run and is kept, over both transports."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.engine.reading import error_of, letter_of, only_run
from tests.roads import Road, road
from tests.shells import registry
from workflows_app import AsyncContext, Context, workflow
from workflows_app.engine import dead_letters
from workflows_app.engine.drain import drain_here
from workflows_app.models import Attempt, Run, Step

__all__ = ["registry", "road"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


def test_a_forgotten_await_fails_the_run_which_is_resumed_once_it_is_written(road: Road) -> None:
    @workflow("forgetful", retries=3)
    async def forgetful(context: AsyncContext) -> str:
        await context.run("pack", str, "packed")
        context.run("charge", str, "charged")  # type: ignore[unused-coroutine]
        await context.run("ship", str, "shipped")
        return "done"

    forgetful.trigger(workflow_run_id="order-7")
    drain_here()

    kind, message = error_of(only_run())
    assert kind == "StepMisuse"
    assert message.startswith(
        f'step "charge" of run order-7 was called at {os.path.relpath(__file__)}:'
    )
    assert not Attempt.objects.exists(), "another attempt would be as forgetful"
    assert not Step.objects.filter(name="ship").exists()

    @workflow("forgetful", retries=3)
    async def mindful(context: AsyncContext) -> str:
        await context.run("pack", str, "packed again")
        return await context.run("charge", str, "charged")

    resumed = dead_letters.resume(letter_of(only_run()))
    drain_here()

    resumed.refresh_from_db()
    assert (resumed.status, resumed.result) == (Run.Status.SUCCEEDED, '"charged"')


def test_a_context_that_is_kept_records_nothing_after_its_turn(road: Road) -> None:
    kept: list[Any] = []

    @workflow("keeper")
    def keeper(context: Context) -> None:
        kept.append(context)
        context.sleep("nap", "1h")

    keeper.trigger()
    drain_here()

    with pytest.raises(Exception, match="whose turn is over"):
        kept[0].run("late", int)
    assert list(Step.objects.values_list("name", flat=True)) == ["nap"]
