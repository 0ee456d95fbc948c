"""Parallel steps over the protocol: plans, each delivered by itself, and joins."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tests.serving.cloud import HOST, Cloud
from tests.serving.cloud_runs import Owed
from tests.serving.conftest import ServeStory
from workflows_app import StepError


def returns(value: Any) -> Any:
    return lambda: value


def test_steps_side_by_side_are_planned_and_executed_each_by_a_delivery(
    serve_story: ServeStory, cloud: Cloud
):
    async def story(context: Any) -> Any:
        return await context.parallel(
            lambda: context.run("left", returns("l")), lambda: context.run("right", returns("r"))
        )

    run = serve_story(story).run()

    assert run.result == ["l", "r"]
    plan = {"stepId": 0, "stepType": "Run", "concurrent": 2}
    assert run.steps[:2] == [
        {**plan, "stepName": "left", "targetStep": 1, "key": "left@1", "branch": "1"},
        {**plan, "stepName": "right", "targetStep": 2, "key": "right@2", "branch": "2"},
    ]
    assert [step["stepId"] for step in run.steps[2:]] == [1, 2]


def test_a_sleep_in_a_branch_begins_with_its_plan(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        await context.parallel(
            lambda: context.sleep("nap", "10s"), lambda: context.sleep("night", "8h")
        )
        return "rested"

    run = serve_story(story).run()

    assert run.result == "rested"
    assert [step.get("sleepFor") for step in run.steps] == [10, 28800, 10, 28800]


async def everything(context: Any) -> Any:
    """Branches of several steps of every kind, a nested group, and steps after them."""

    async def chain() -> Any:
        first = await context.run("mail", lambda: 1)
        await context.sleep("pause", "1s")
        return first + await context.run("mail", lambda: 2)

    async def ask() -> Any:
        answer = await context.call("ask", url="https://bank.example/")
        return answer.status + await context.run("mail", lambda: 4)

    async def wait() -> Any:
        await context.notify("tell", "news", 8, workflow_run_id=context.workflow_run_id)
        event = await context.wait_for_event("wait", "news")
        return event.event_data

    async def nest() -> Any:
        await context.run("before", lambda: None)
        inner = await context.parallel(
            lambda: context.run("mail", lambda: 16), lambda: context.run("mail", lambda: 32)
        )
        return sum(inner) + await context.run("after", lambda: 64)

    first = await context.run("first", lambda: 0)
    found = await context.parallel(chain, ask, wait, nest)
    more = await context.parallel(
        lambda: context.run("mail", lambda: 1000), lambda: context.run("mail", lambda: 2000)
    )
    return [first, *found, sum(more), await context.run("last", lambda: "end")]


EVERYTHING = [0, 3, 204, 8, 112, 3000, "end"]


@pytest.mark.parametrize("seed", range(8))
def test_branches_end_the_same_in_whatever_order_they_are_delivered(
    serve_story: ServeStory, cloud: Cloud, seed: int
):
    chance = random.Random(seed)
    cloud.order = lambda owed: chance.randrange(len(owed))

    run = serve_story(everything).run()

    assert run.result == EVERYTHING
    numbers = [step["stepId"] for step in run.steps if step["stepId"]]
    assert max(Counter(numbers).values()) == 1


@pytest.mark.parametrize("seed", range(8))
def test_what_is_delivered_twice_is_done_again_and_counts_once(
    serve_story: ServeStory, cloud: Cloud, seed: int
):
    chance = random.Random(seed)

    def order(owed: list[Owed]) -> int:
        index = chance.randrange(len(owed))
        if chance.random() < 0.2:
            cloud.deliver(owed[index])
        return index

    cloud.order = order
    run = serve_story(everything).run()

    assert run.result == EVERYTHING


def test_a_branch_goes_on_while_another_sleeps(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        async def busy() -> None:
            for number in range(3):
                await context.run(f"step-{number}", lambda: None)

        await context.parallel(busy, lambda: context.sleep("long", "30d"))

    def sleepers_last(owed: list[Owed]) -> int:
        awake = [
            index
            for index, each in enumerate(owed)
            if not each.count or each.run.steps[each.count - 1]["stepName"] != "long"
        ]
        return awake[0] if awake else 0

    cloud.order = sleepers_last
    run = serve_story(story).run()

    assert run.status == "succeeded"
    assert run.results == ["step-0", "step-1", "step-2", "long"]


def test_a_failing_branch_may_be_handled(serve_story: ServeStory):
    def breaks() -> None:
        raise ValueError("broken")

    async def story(context: Any) -> Any:
        async def careful() -> Any:
            try:
                await context.run("breaks", breaks)
            except StepError as error:
                return await context.run("repair", str, error)

        return await context.parallel(careful, lambda: context.run("other", returns("fine")))

    run = serve_story(story, {"retries": 0}).run()

    assert run.result == ['step "breaks" failed after 1 attempt: ValueError: broken', "fine"]


def test_a_run_that_another_sdk_began_in_parallel_is_not_taken_over(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        return await context.parallel(
            lambda: context.run("left", returns(1)), lambda: context.run("right", returns(2))
        )

    site = serve_story(story)
    run = site.trigger()
    site.cloud.owed.clear()
    for number, name in enumerate(["left", "right"], start=1):
        plan = f'"stepId":0,"stepName":"{name}","stepType":"Run","concurrent":2'
        site.cloud.append(run, f'{{{plan},"targetStep":{number}}}'.encode())
    site.cloud.deliver_all()

    assert run.error["error"] == "IncompatibleHistory"
    assert "another SDK" in run.error["message"]
    assert run.url == f"{HOST}/story"


# -- races and maps


@pytest.mark.parametrize("seed", range(12))
def test_the_branch_whose_step_ends_first_wins(serve_story: ServeStory, cloud: Cloud, seed: int):
    async def story(context: Any) -> Any:
        async def slow() -> str:
            await context.run("slow", returns(None))
            return str(await context.run("slower", returns("slow")))

        async def answer() -> Any:
            return (await context.wait_for_event("answer", "never")).event_data

        first = await context.race(slow, lambda: context.run("quick", returns("quick")), answer)
        return [first, await context.run("after", returns(first))]

    chance = random.Random(seed)
    cloud.order = lambda owed: chance.randrange(len(owed))
    run = serve_story(story).run()

    won = next(name for name in run.results if name in ("quick", "slower"))
    winner = "quick" if won == "quick" else "slow"
    assert run.result == [winner, winner]


def test_a_race_may_be_won_by_a_deadline(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        async def expire() -> str:
            await context.sleep("patience", "3d")
            return "expired"

        async def answer() -> Any:
            return (await context.wait_for_event("answer", "approved")).event_data

        return await context.race(answer, expire)

    expired = serve_story(story).run()
    approved = serve_story(story).trigger()
    cloud.order = lambda owed: max(range(len(owed)), key=lambda index: owed[index].count == 0)
    while "approved" not in approved.waits:
        cloud.deliver(cloud.owed.pop(0))
        cloud.owed = [
            each
            for each in cloud.owed
            if not each.count or each.run.steps[each.count - 1]["stepName"] != "patience"
        ]
    cloud._notify(["approved"], b"yes")
    cloud.deliver_all()

    assert (expired.result, approved.result) == ("expired", "yes")


@pytest.mark.parametrize("seed", range(12))
def test_a_map_works_on_so_many_items_at_a_time(serve_story: ServeStory, cloud: Cloud, seed: int):
    async def story(context: Any) -> Any:
        async def one(number: int) -> Any:
            twice = await context.run("twice", returns(2 * number))
            await context.sleep("pause", "1s")
            return await context.run("more", returns(twice + 1))

        return await context.map(one, range(5), concurrency=2)

    chance = random.Random(seed)
    cloud.order = lambda owed: chance.randrange(len(owed))
    run = serve_story(story).run()

    assert run.result == [1, 3, 5, 7, 9]
    opened = [step["branch"] for step in run.steps if step.get("branch")]
    assert set(opened[:3]) <= {"1", "2"}
