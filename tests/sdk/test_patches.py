"""`context.patched`: which runs in flight follow a change of the code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk.conftest import Rehearse
from tests.sdk.rehearsal import Rehearsal, assert_failed, finished
from tests.shells import Define, Shell, Story
from workflows_app.protocol.runs import Finished, StepKind, Suspended
from workflows_app.sdk.replay import Extent

Redeploy = Callable[[Story, Story], Rehearsal]


@pytest.fixture
def redeploy(define: Define, rehearse_workflow: Rehearse) -> Redeploy:
    """A run that has got as far as it can with the code before, and goes on with the code after."""

    def redeploy(before: Story, after: Story) -> Rehearsal:
        rehearsal = rehearse_workflow(define()(before), retries=3)
        assert isinstance(rehearsal.turn(), Suspended)
        rehearsal.rewrite(define()(after))
        return rehearsal

    return redeploy


async def by_post(context: Any) -> Any:
    """The code before the change."""
    await context.sleep("pause", "1h")
    sent = await context.run("post", lambda: "letter")
    await context.sleep("rest", "1h")
    return sent


async def by_mail(context: Any) -> Any:
    """The code with the change."""
    await context.sleep("pause", "1h")
    if await context.patched("mail"):
        sent = await context.run("mail", lambda: "mail")
    else:
        sent = await context.run("post", lambda: "letter")
    await context.sleep("rest", "1h")
    return sent


def marks(rehearsal: Rehearsal) -> list[tuple[str, str, str | None]]:
    return [
        (step.key, step.branch, step.result)
        for step in rehearsal.journal.steps
        if step.kind is StepKind.PATCHED
    ]


def test_a_new_run_follows_the_change_and_keeps_a_mark(rehearse: Rehearse) -> None:
    rehearsal = rehearse(by_mail)

    assert rehearsal.play() == finished("mail")
    assert list(rehearsal.recorded) == ["pause", "patched:mail", "mail", "rest"]
    assert marks(rehearsal) == [("patched:mail", "", "true")]


def test_a_run_that_has_not_come_to_the_place_follows_the_change(redeploy: Redeploy) -> None:
    rehearsal = redeploy(by_post, by_mail)

    assert rehearsal.play() == finished("mail")


def test_a_run_that_has_passed_the_place_keeps_to_the_old_code(
    redeploy: Redeploy, define: Define
) -> None:
    rehearsal = redeploy(by_post, by_post)
    rehearsal.clock.advance("2h")
    assert isinstance(rehearsal.turn(), Suspended), "the letter is sent"
    rehearsal.rewrite(define()(by_mail))

    assert rehearsal.play() == finished("letter")
    assert marks(rehearsal) == [], "what is recorded says enough"


def test_a_run_that_follows_a_change_does_so_for_ever(redeploy: Redeploy) -> None:
    rehearsal = redeploy(by_post, by_mail)
    rehearsal.clock.advance("2h")

    while isinstance(outcome := rehearsal.turn(), Suspended):
        rehearsal.clock.advance("2h")

    assert outcome == finished("mail")
    assert len(marks(rehearsal)) == 1


@pytest.mark.parametrize("extent", [Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH], ids=str)
def test_an_id_that_is_asked_in_a_loop_gets_one_answer_and_one_mark(
    extent: Extent, rehearse: Rehearse
) -> None:
    async def story(context: Any) -> Any:
        answers = []
        for number in range(3):
            answers.append(await context.patched("twice"))
            await context.run("work", lambda number=number: number)
            answers.append(await context.patched("twice"))
        return answers

    rehearsal = rehearse(story)

    assert rehearsal.play(extent) == finished([True] * 6)
    assert list(rehearsal.recorded) == ["patched:twice", "work", "work#2", "work#3"]


def test_a_loop_that_was_under_way_gets_the_old_answer_in_every_round(redeploy: Redeploy) -> None:
    async def before(context: Any) -> Any:
        for _ in range(3):
            await context.run("work", lambda: None)
            await context.sleep("nap", "1h")

    async def after(context: Any) -> Any:
        answers = []
        for _ in range(3):
            answers.append(await context.patched("new"))
            await context.run("work", lambda: None)
            await context.sleep("nap", "1h")
        return answers

    rehearsal = redeploy(before, after)

    assert rehearsal.play() == finished([False, False, False])
    assert marks(rehearsal) == [("patched:new", "", "false")]


def test_a_mark_takes_no_delivery_of_its_own_over_http(rehearse: Rehearse) -> None:
    marked, unmarked = rehearse(by_mail), rehearse(by_post)

    marked.play(Extent.ONE_BATCH)
    unmarked.play(Extent.ONE_BATCH)

    assert list(marked.recorded) == ["pause", "patched:mail", "mail", "rest"]
    assert marked.turns == unmarked.turns


# -- steps that have begun without an end


def test_a_call_under_way_tells_that_the_run_has_passed_the_place(redeploy: Redeploy) -> None:
    async def before(context: Any) -> Any:
        return (await context.call("old", url="https://old.example")).body

    async def after(context: Any) -> Any:
        name = "new" if await context.patched("move") else "old"
        return (await context.call(name, url=f"https://{name}.example")).body

    rehearsal = redeploy(before, after)
    rehearsal.begun = {"old"}
    rehearsal.respond = lambda call: {"status": 200, "body": call.url, "header": {}}

    assert rehearsal.play() == finished("https://old.example")


def test_a_step_that_is_to_be_retried_tells_that_the_run_has_passed_the_place(
    redeploy: Redeploy,
) -> None:
    attempts: list[str] = []

    def flaky() -> str:
        attempts.append("old")
        if len(attempts) == 1:
            raise OSError("not now")
        return "old"

    async def before(context: Any) -> Any:
        return await context.options(retry_delay="1000").run("old", flaky)

    async def after(context: Any) -> Any:
        if await context.patched("other"):
            return await context.run("new", lambda: "new")
        return await context.options(retry_delay="1000").run("old", flaky)

    rehearsal = redeploy(before, after)

    assert rehearsal.play() == finished("old")


# -- parallel branches


def branches_of(place: Callable[[Any, int], Any]) -> Story:
    async def story(context: Any) -> Any:
        def branch(number: int) -> Any:
            return lambda: place(context, number)

        return await context.parallel(*(branch(number) for number in range(3)))

    return story


def test_branches_of_a_new_run_all_follow_the_change(rehearse: Rehearse) -> None:
    async def place(context: Any, number: int) -> Any:
        await context.sleep("pause", "1h")
        answer = await context.patched("new")
        await context.run("new" if answer else "old", lambda: number)
        return answer

    rehearsal = rehearse(branches_of(place))

    assert rehearsal.play() == finished([True, True, True])
    assert {mark[0] for mark in marks(rehearsal)} == {"patched:new"}


@pytest.mark.parametrize("extent", [Extent.TO_THE_NEXT_WAIT, Extent.ONE_BATCH], ids=str)
@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_once_one_branch_has_passed_the_place_all_keep_to_the_old_code(
    ahead: int, extent: Extent, redeploy: Redeploy
) -> None:
    """Whichever of them asks first."""

    async def before(context: Any, number: int) -> Any:
        await context.sleep("pause", "1s" if number == ahead else "1h")
        await context.run("old", lambda: number)

    async def after(context: Any, number: int) -> Any:
        await context.sleep("pause", "1h")
        answer = await context.patched("new")
        await context.run("new" if answer else "old", lambda: number)
        return answer

    rehearsal = redeploy(branches_of(before), branches_of(before))
    rehearsal.clock.advance("1m")
    rehearsal.turn()
    assert f"old@{ahead + 1}" in rehearsal.recorded
    rehearsal.workflow = redeploy(branches_of(before), branches_of(after)).workflow

    assert rehearsal.play(extent) == finished([False, False, False])
    assert sorted(key for key in rehearsal.recorded if key.startswith("old")) == [
        "old@1",
        "old@2",
        "old@3",
    ]


def test_a_branch_that_has_ended_knows_it_by_what_came_after_the_branches(
    redeploy: Redeploy,
) -> None:
    def branching(asks: str) -> Story:
        async def story(context: Any) -> Any:
            async def branch() -> Any:
                await context.run("work", lambda: None)
                return await context.patched("new") if asks == "asks" else False

            answers = await context.parallel(branch, branch)
            await context.sleep("nap", "1h")
            return answers

        return story

    rehearsal = redeploy(branching("does not ask"), branching("asks"))

    assert rehearsal.play() == finished([False, False])
    assert marks(rehearsal)[0][2] == "false"


def test_branches_that_were_opened_after_the_place_tell_that_it_was_passed(
    redeploy: Redeploy,
) -> None:
    def branching(asks: str) -> Story:
        async def story(context: Any) -> Any:
            answer = await context.patched("new") if asks == "asks" else False
            await context.parallel(
                lambda: context.sleep("nap", "1h"), lambda: context.run("work", lambda: None)
            )
            return answer

        return story

    rehearsal = redeploy(branching("does not ask"), branching("asks"))

    assert rehearsal.play() == finished(False)


def test_a_branch_whose_answer_shows_later_goes_on_in_the_next_turn(redeploy: Redeploy) -> None:
    """The first branch cannot know how far the others have got."""

    async def before(context: Any, number: int) -> Any:
        await context.sleep("pause", "1h")
        return number

    async def after(context: Any, number: int) -> Any:
        if number == 0:
            return await context.patched("new")
        await context.sleep("pause", "1h")
        return number

    async def nothing_yet(context: Any, number: int) -> Any:
        if number:
            await context.sleep("pause", "1h")
        return number

    rehearsal = redeploy(branches_of(nothing_yet), branches_of(after))

    assert rehearsal.play() == finished([True, 1, 2])


# -- afterwards


def test_a_mark_that_the_code_no_longer_asks_for_is_passed_over(
    redeploy: Redeploy, define: Define
) -> None:
    async def only_mail(context: Any) -> Any:
        await context.sleep("pause", "1h")
        sent = await context.run("mail", lambda: "mail")
        await context.sleep("rest", "1h")
        return sent

    rehearsal = redeploy(by_post, by_mail)
    rehearsal.clock.advance("2h")
    rehearsal.turn()
    assert marks(rehearsal)
    rehearsal.rewrite(define()(only_mail))

    assert rehearsal.play() == finished("mail")


def test_two_changes_are_answered_each_for_itself(redeploy: Redeploy) -> None:
    async def twice_changed(context: Any) -> Any:
        first = await context.patched("before the pause")
        await context.sleep("pause", "1h")
        return [first, await context.patched("after the pause")]

    rehearsal = redeploy(by_post, twice_changed)

    assert rehearsal.play() == finished([False, True])


def test_a_step_must_not_be_named_like_a_mark(rehearse: Rehearse) -> None:
    async def story(context: Any) -> Any:
        await context.run("patched:mail", lambda: None)

    assert_failed(
        rehearse(story).turn(),
        "StepMisuse",
        "a step's name must not begin with 'patched:', as 'patched:mail' does: that is how "
        "context.patched marks the journal",
    )


def test_threads_that_ask_at_once_are_told_the_same(
    shell: Shell, rehearse: Rehearse, define: Define
) -> None:
    ready = threading.Barrier(3)

    async def place(context: Any, number: int) -> Any:
        if shell is Shell.SYNC:
            ready.wait(timeout=10)
        return await context.patched("new")

    rehearsal = rehearse(branches_of(place))

    assert rehearsal.turn() == Finished(result="[true,true,true]")
