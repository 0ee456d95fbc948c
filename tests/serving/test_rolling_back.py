"""Steps that are undone where a workflow is served."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.serving.cloud import Cloud
from tests.serving.conftest import ServeStory
from workflows_app import StepError, Undo


class Till:
    """What was paid and paid back."""

    def __init__(self) -> None:
        self.undone: list[tuple[str, bool, Any]] = []

    def undo(self, undo: Undo) -> None:
        self.undone.append((undo.key, undo.finished, undo.result))


@pytest.fixture
def till() -> Till:
    return Till()


def test_a_run_that_fails_undoes_its_steps_the_latest_first(
    serve_story: ServeStory, cloud: Cloud, till: Till
):
    async def story(context: Any) -> Any:
        paid = context.options(rollback=till.undo)
        await paid.run("pay", lambda: 12)
        await context.run("look", lambda: None)
        await paid.run("ship", lambda: "parcel")
        await paid.run("breaks", int, "no number")

    cloud.retries = 3
    run = serve_story(story, {"retries": 0}).run()

    assert run.status == "failed"
    assert run.error["step"] == "breaks"
    assert till.undone == [("breaks", False, None), ("ship", True, "parcel"), ("pay", True, 12)]
    undone = ["rollback", "undo breaks", "undo ship", "undo pay"]
    assert run.results == ["pay", "look", "ship", "breaks", *undone]
    assert cloud.answers[-1].status_code == 489


@pytest.mark.parametrize("seed", range(4))
def test_steps_of_branches_are_undone_too(
    serve_story: ServeStory, cloud: Cloud, till: Till, seed: int
):
    async def story(context: Any) -> Any:
        paid = context.options(rollback=till.undo)
        await context.parallel(
            lambda: paid.run("left", lambda: "l"), lambda: paid.run("right", lambda: "r")
        )
        await context.roll_back("nobody wants it")

    chance = random.Random(seed)
    cloud.order = lambda owed: chance.randrange(len(owed))
    run = serve_story(story).run()

    assert run.status == "canceled"
    assert sorted(till.undone) == [("left@1", True, "l"), ("right@2", True, "r")]
    assert run.results[-3] == "rollback"


def test_a_branch_that_rolls_back_undoes_what_other_branches_did(
    serve_story: ServeStory, cloud: Cloud, till: Till
):
    async def story(context: Any) -> Any:
        async def giving_up() -> None:
            await context.run("look", lambda: None)
            await context.sleep("pause", "1h")
            await context.roll_back("nobody wants it")

        async def paying() -> None:
            await context.options(rollback=till.undo).run("pay", lambda: 12)
            await context.sleep("night", "1d")

        await context.parallel(giving_up, paying)

    run = serve_story(story).run()

    assert run.status == "canceled"
    assert till.undone == [("pay@2", True, 12)]


def test_a_step_is_undone_by_its_own_retries(serve_story: ServeStory, cloud: Cloud, till: Till):
    attempts: list[str] = []

    def flaky(undo: Undo) -> None:
        attempts.append(undo.key)
        if len(attempts) < 2:
            raise ConnectionError("busy")

    def never(undo: Undo) -> None:
        raise LookupError("gone")

    async def story(context: Any) -> Any:
        await context.options(rollback=flaky, retries=3).run("first", lambda: None)
        await context.options(rollback=never, retries=0).run("second", lambda: None)
        await context.options(rollback=till.undo).run("third", lambda: None)
        raise LookupError("sold out")

    cloud.retries = 3
    run = serve_story(story, {"retries": 0}).run()

    assert attempts == ["first", "first"]
    assert [key for key, _, _ in till.undone] == ["third"]
    assert run.error["error"] == "LookupError"
    assert 'sold out; not undone: step "second": LookupError: gone' in run.error["message"]


def test_a_failure_that_is_handled_undoes_nothing(serve_story: ServeStory, till: Till):
    async def story(context: Any) -> Any:
        try:
            await context.options(rollback=till.undo).run("breaks", int, "no number")
        except StepError:
            return await context.run("after", lambda: "went on")

    run = serve_story(story, {"retries": 0}).run()

    assert (run.result, till.undone) == ("went on", [])
