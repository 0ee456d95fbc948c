"""Processes that die in the middle of a run, and those that take over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group

from tests.shells import Define
from workflows_app.conf import get_settings
from workflows_app.testing import ProcessDied, WorkflowTest

pytestmark = pytest.mark.django_db


class Shop:
    """Counts what its functions do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def do(self, what: str) -> str:
        self.done.append(what)
        Group.objects.create(name=f"{what} {len(self.done)}")
        return what

    async def order(self, context: Any) -> Any:
        first = await context.run("charge", self.do, "charge")
        second = await context.atomic("book", self.do, "book")
        third = await context.run("ship", self.do, "ship")
        return [first, second, third]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize("step", ["charge", "book", "ship"])
def test_a_step_whose_result_is_stored_is_not_done_again(
    define: Define, flows: WorkflowTest, shop: Shop, step: str
):
    flows.crash_after(step)

    run = flows.start(define()(shop.order))

    assert run.result == ["charge", "book", "ship"]
    assert shop.done == ["charge", "book", "ship"]
    run.assert_steps("charge", "book", "ship")


@pytest.mark.parametrize("step", ["charge", "book", "ship"])
def test_a_step_whose_result_is_not_stored_is_done_again(
    define: Define, flows: WorkflowTest, shop: Shop, step: str
):
    flows.crash_before_storing(step)

    run = flows.start(define()(shop.order))

    assert run.result == ["charge", "book", "ship"]
    assert shop.done.count(step) == 2
    assert len(shop.done) == 4
    run.assert_step(step, attempts=1)


def test_what_an_atomic_step_wrote_vanishes_with_its_process(
    define: Define, flows: WorkflowTest, shop: Shop
):
    flows.crash_before_storing("book")

    flows.start(define()(shop.order))

    names = Group.objects.order_by("pk").values_list("name", flat=True)
    assert list(names) == ["charge 1", "book 3", "ship 4"]


def test_the_next_worker_takes_over_when_the_lease_has_run_out(
    define: Define, flows: WorkflowTest, shop: Shop
):
    begun = flows.now
    flows.crash_after("charge")

    run = flows.start(define()(shop.order))

    assert flows.now == begun + get_settings().LEASE
    assert run.step("charge").ended_at == begun
    assert run.step("ship").ended_at == flows.now


def test_a_process_dies_once_for_each_time_it_is_told(
    define: Define, flows: WorkflowTest, shop: Shop
):
    begun = flows.now
    flows.crash_before_storing("charge")
    flows.crash_before_storing("charge")

    flows.start(define()(shop.order))

    assert shop.done.count("charge") == 3
    assert flows.now == begun + 2 * get_settings().LEASE


def test_one_of_several_workflows_may_be_meant(define: Define, flows: WorkflowTest, shop: Shop):
    one, other = define("one")(shop.order), define("other")(shop.order)
    flows.crash_before_storing("charge", workflow=other)

    flows.start(one)
    assert shop.done == ["charge", "book", "ship"]

    flows.start(other)
    assert shop.done[3:] == ["charge", "charge", "book", "ship"]


def test_a_run_asleep_survives_the_process_that_put_it_to_sleep(
    define: Define, flows: WorkflowTest
):
    @define()
    async def story(context: Any) -> str:
        await context.sleep("nap", "1h")
        return "woken"

    begun = flows.now
    flows.crash_after("nap")
    run = flows.start(story)

    assert run.step("nap").ended_at == begun + timedelta(hours=1)
    flows.advance_to_end(run)
    assert flows.now == begun + timedelta(hours=1)


def test_a_process_may_die_when_it_has_just_heard_of_an_answer(define: Define, flows: WorkflowTest):
    @define()
    async def story(context: Any) -> Any:
        answer = await context.call("ask", url="https://app.example/")
        return answer.status

    flows.answer_call("ask")
    flows.crash_after("ask")
    begun = flows.now

    assert flows.start(story).result == 200
    assert flows.now == begun + get_settings().LEASE


def test_parallel_branches_go_on_where_they_were(define: Define, flows: WorkflowTest):
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return number

    @define()
    async def story(context: Any) -> Any:
        async def one(number: int) -> Any:
            return await context.run(f"work-{number}", work, number)

        return await context.parallel(lambda: one(1), lambda: one(2), lambda: one(3))

    flows.crash_after("work-2")

    assert flows.start(story).result == [1, 2, 3]
    assert set(done) == {1, 2, 3}


@pytest.mark.parametrize("verb", ["crash_after", "crash_before_storing"])
def test_a_crash_that_never_came_fails_the_test(define: Define, shop: Shop, verb: str, db: None):
    with (
        pytest.raises(AssertionError, match='to end at step "chrage", which was never stored'),
        WorkflowTest() as flows,
    ):
        getattr(flows, verb)("chrage")
        flows.start(define()(shop.order))


def test_a_run_in_the_callers_process_dies_with_it_and_a_worker_takes_over(
    define: Define, flows: WorkflowTest, shop: Shop
):
    flows.crash_after("charge")

    with pytest.raises(ProcessDied, match='at step "charge"'):
        define()(shop.order).run()
    (run,) = flows.runs()
    flows.work()
    assert run.status == "running"

    flows.advance(get_settings().LEASE)
    assert run.result == ["charge", "book", "ship"]
    assert shop.done == ["charge", "book", "ship"]
