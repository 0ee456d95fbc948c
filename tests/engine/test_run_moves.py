"""What people and programs may ask of a run: to be found, cancelled, woken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import attempts_of, journal_of, only_run, owed_to, result_of
from tests.engine.world import Bell, World
from tests.shells import Define
from workflows_app import Workflow
from workflows_app.engine import delivery, leases, run_moves
from workflows_app.engine.drain import drain_here
from workflows_app.errors import RunEnded, RunNotFound
from workflows_app.models import Account, Message, Run, Step

pytestmark = pytest.mark.django_db


@pytest.fixture
def nap(define: Define) -> Workflow:
    """A workflow that steps, sleeps for a day, and steps again."""

    @define()
    async def story(context: Any) -> Any:
        await context.run("before", lambda: None)
        await context.sleep("nap", "1d")
        return await context.run("after", lambda: "rested")

    return story


# -- finding


def test_a_run_is_found_by_its_id_within_its_account(
    nap: Workflow, account: Account, other_account: Account
) -> None:
    nap.trigger(workflow_run_id="order-7")

    assert run_moves.find_run(account, "order-7") == only_run()
    for owner, run_id in ((other_account, "order-7"), (account, "order-8")):
        with pytest.raises(RunNotFound) as refusal:
            run_moves.find_run(owner, run_id)
        assert refusal.value.message == f'there is no run "{run_id}" in this account'


def test_of_the_runs_that_had_an_id_the_newest_is_found(nap: Workflow, account: Account) -> None:
    for _ in range(3):
        nap.trigger(workflow_run_id="order-7")
        run_moves.cancel_all(Run.objects.all())
    nap.trigger(workflow_run_id="order-7")

    found = run_moves.find_run(account, "order-7")
    assert found.is_live
    assert found.pk == max(Run.objects.values_list("pk", flat=True))


# -- cancelling


def test_a_cancelled_run_has_ended_and_is_owed_nothing(nap: Workflow, clock: Clock) -> None:
    nap.trigger()
    drain_here()
    clock.advance("1h")
    run_moves.cancel(only_run())

    run = only_run()
    assert (run.status, run.ended_at, run.live_id) == ("canceled", clock.now, None)
    assert owed_to(run) == []
    assert list(journal_of(run)) == ["before", "nap"]
    clock.advance("2d")
    assert drain_here() == 0


def test_a_run_that_has_ended_cannot_be_cancelled(nap: Workflow, clock: Clock) -> None:
    nap.trigger(workflow_run_id="order-7")
    run_moves.cancel(only_run())
    before = Run.objects.values().get()
    clock.advance("1h")

    with pytest.raises(RunEnded) as refusal:
        run_moves.cancel(only_run())

    assert refusal.value.message == "run order-7 has ended already and cannot be cancelled"
    assert Run.objects.values().get() == before


def test_a_step_at_work_finishes_and_its_result_is_dropped(define: Define) -> None:
    finished = []

    @define()
    async def story(context: Any) -> Any:
        def work() -> None:
            run_moves.cancel(only_run())
            finished.append("the step")

        await context.run("before", lambda: None)
        await context.run("at work", work)
        await context.run("after", finished.append, "what comes after")

    story.trigger()
    drain_here()

    assert finished == ["the step"]
    assert journal_of(only_run()) == {"before": None}
    assert only_run().status == Run.Status.CANCELED


@pytest.mark.parametrize("way", ["return", "raise", "sleep", "call"])
def test_a_turn_at_work_may_end_as_it_likes_once_its_run_is_cancelled(
    way: str, define: Define, world: World
) -> None:
    @define(retries=3)
    async def story(context: Any) -> Any:
        if way == "raise":
            raise ValueError
        if way == "sleep":
            await context.sleep("nap", "1d")
        if way == "call":
            await context.call("ask", url="https://peer.example")

    story.trigger()
    (lease,) = leases.claim(1)
    run_moves.cancel(only_run())
    delivery.deliver(lease)

    run = only_run()
    assert (run.status, run.result, run.error) == ("canceled", None, None)
    assert journal_of(run) == {}
    assert attempts_of(run) == []
    assert owed_to(run) == []


def test_many_are_cancelled_at_once_and_those_that_had_ended_are_not_counted(
    nap: Workflow,
) -> None:
    nap.trigger_many([None] * 4)
    first = Run.objects.order_by("pk").first()
    assert first is not None
    run_moves.cancel(first)

    assert run_moves.cancel_all(Run.objects.all()) == 3
    assert run_moves.cancel_all(Run.objects.all()) == 0
    assert not Run.objects.live().exists()
    assert not Message.objects.exists()


def test_of_many_the_newest_are_cancelled_up_to_a_limit(nap: Workflow) -> None:
    nap.trigger_many([None] * 4)
    ids = list(Run.objects.order_by("pk").values_list("pk", flat=True))

    assert run_moves.cancel_all(Run.objects.all(), limit=3) == 3
    assert list(Run.objects.live().values_list("pk", flat=True)) == ids[:1]


def test_only_the_runs_that_were_chosen_are_cancelled(nap: Workflow) -> None:
    nap.trigger(labels="keep")
    nap.trigger(labels="drop")

    assert run_moves.cancel_all(Run.objects.labelled(["drop"])) == 1
    assert only_live().label_list == ["keep"]


def only_live() -> Run:
    return Run.objects.live().get()


# -- waking


def test_a_run_that_is_woken_does_not_sleep_on(nap: Workflow, clock: Clock, bell: Bell) -> None:
    nap.trigger()
    drain_here()
    clock.advance("1h")
    rings = bell.rings
    run_moves.wake(only_run())

    assert bell.rings == rings + 1
    assert owed_to(only_run()) == [("turn", "", clock.now)]
    assert Step.objects.get(key="nap").ended_at == clock.now
    drain_here()
    assert result_of(only_run()) == "rested"


def test_a_run_that_is_woken_before_it_has_begun_begins_at_once(
    nap: Workflow, clock: Clock
) -> None:
    nap.trigger(delay="1h")
    run_moves.wake(only_run())

    assert drain_here() == 1


def test_a_step_that_waits_for_its_retry_is_tried_at_once_when_its_run_is_woken(
    define: Define, clock: Clock
) -> None:
    @define(retries=3)
    async def story(context: Any) -> Any:
        def flaky() -> Any:
            if context.attempt < 3:
                raise OSError
            return context.attempt

        return await context.run("flaky", flaky)

    story.trigger()
    for _ in range(3):
        drain_here()
        run_moves.wake(only_run()) if only_run().is_live else None

    assert result_of(only_run()) == 3
    assert clock.now == only_run().created_at


def test_a_call_that_waits_for_its_retry_is_sent_at_once_when_its_run_is_woken(
    define: Define, world: World, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        return (await context.call("ask", url="https://peer.example", retries=3)).status

    story.trigger()
    world.answers(500, 200)
    drain_here()
    assert owed_to(only_run())[1][2] == clock.now + timedelta(seconds=12)
    run_moves.wake(only_run())
    drain_here()

    assert result_of(only_run()) == 200


def test_a_run_that_is_woken_while_its_turn_is_at_work_goes_on_at_once(
    define: Define, clock: Clock
) -> None:
    @define()
    async def story(context: Any) -> Any:
        async def nap() -> Any:
            await context.sleep("nap", "1d")
            return "rested"

        async def wake_up() -> Any:
            await context.run("rise first", lambda: None)
            await context.run("alarm", lambda: run_moves.wake(only_run()))

        return (await context.parallel(nap, wake_up))[0]

    story.trigger()
    drain_here()

    assert result_of(only_run()) == "rested"


def test_waking_leaves_a_lease_to_its_worker(nap: Workflow, clock: Clock) -> None:
    nap.trigger()
    (lease,) = leases.claim(1)
    run_moves.wake(only_run())

    assert Message.objects.held(lease.message_id, lease.token).get().due_at == (
        clock.now + timedelta(seconds=15)
    )
    assert leases.claim(1) == []


def test_what_has_happened_already_stays_as_it_was_when_a_run_is_woken(
    nap: Workflow, clock: Clock
) -> None:
    nap.trigger()
    drain_here()
    before = Step.objects.filter(key="before").values().get()
    clock.advance("1h")
    run_moves.wake(only_run())

    assert Step.objects.filter(key="before").values().get() == before


def test_only_the_run_itself_is_woken(nap: Workflow, clock: Clock) -> None:
    nap.trigger_many([None, None])
    drain_here()
    first, second = Run.objects.order_by("pk")
    before = owed_to(second)
    run_moves.wake(first)

    assert owed_to(second) == before
    assert Step.objects.get(run=second, key="nap").ended_at == clock.now + timedelta(days=1)


def test_a_run_that_has_ended_cannot_be_woken(nap: Workflow) -> None:
    nap.trigger(workflow_run_id="order-7")
    run_moves.cancel(only_run())

    with pytest.raises(RunEnded) as refusal:
        run_moves.wake(only_run())

    assert refusal.value.message == "run order-7 has ended and cannot be woken"
