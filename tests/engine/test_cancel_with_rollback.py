"""Runs that someone cancels and has undone: by workers, in the database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, letter_of, only_run, owed_to
from tests.engine.test_rollbacks import Bank
from tests.engine.world import World
from tests.roads import Road, road
from tests.shells import Define
from workflows_app import Undo, Workflow, notify
from workflows_app.engine import leases, pausing, run_moves
from workflows_app.engine.dead_letters import resume
from workflows_app.engine.drain import drain_here
from workflows_app.engine.ports import Turn
from workflows_app.engine.states import State
from workflows_app.engine.triggering import trigger
from workflows_app.engine.undoing import rollback_of
from workflows_app.errors import RunEnded
from workflows_app.models import Account, Event, Invocation, Message, Run, Waiter
from workflows_app.protocol.runs import RunRequest, TurnOutcome

__all__ = ["road"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def order(define: Define, bank: Bank) -> Workflow:
    """Charges, and waits for an approval or a day."""

    @define(retries=0)
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=bank.refund)
        await undoable.run("charge", bank.charge)
        await context.parallel(
            lambda: context.wait_for_event("approval", "approved"),
            lambda: context.sleep("think", "1d"),
        )
        await undoable.run("charge again", bank.charge)

    return story


@pytest.fixture
def asked_as_a_turn_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the workflow function has ended or waits, and before that is stored."""
    take_turn = world.take_turn

    def take_turn_and_ask(turn: Turn) -> TurnOutcome:
        outcome = take_turn(turn)
        roll_back()
        return outcome

    monkeypatch.setattr(world, "take_turn", take_turn_and_ask)


def roll_back() -> State:
    return run_moves.cancel(only_run(), roll_back=True)


def test_a_run_that_waits_is_undone_and_ends_as_cancelled(
    road: Road, order: Workflow, bank: Bank
) -> None:
    order.trigger()
    drain_here()

    assert roll_back() is State.ROLLING_BACK
    drain_here()

    run = only_run()
    assert (run.status, run.error, owed_to(run)) == (Run.Status.CANCELED, None, [])
    assert bank.did == ["charge", "refund 7"]
    assert list(journal_of(run)) == ["charge", "think@2", "@undo", "charge@undo"]
    assert (end := rollback_of(run)) is not None
    assert (end.is_complete, end.error) == (True, None)


def test_a_run_that_has_not_begun_ends_at_once(order: Workflow, bank: Bank) -> None:
    order.trigger()

    assert roll_back() is State.CANCELED
    assert not Message.objects.exists()
    assert rollback_of(only_run()) is None


def test_a_run_of_another_service_ends_at_once(account: Account) -> None:
    (started,) = trigger(account, [RunRequest(url="https://peer.example/flow")])
    leases.claim(1)

    assert run_moves.cancel(started.run, roll_back=True) is State.CANCELED


def test_a_run_without_rollback_functions_ends_with_its_next_turn(define: Define) -> None:
    @define()
    async def story(context: Any) -> Any:
        await context.sleep("nap", "1d")

    story.trigger()
    drain_here()
    roll_back()
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert rollback_of(only_run()) is None
    assert list(journal_of(only_run())) == ["nap"]


def test_a_run_that_has_ended_is_refused(order: Workflow) -> None:
    order.trigger()
    run_moves.cancel(only_run())

    with pytest.raises(RunEnded):
        roll_back()


def test_asking_again_changes_nothing(order: Workflow, bank: Bank, clock: Clock) -> None:
    order.trigger()
    drain_here()
    roll_back()
    asked_at = only_run().undoing_at
    clock.advance("1h")

    assert roll_back() is State.ROLLING_BACK
    assert only_run().undoing_at == asked_at


def test_a_cancellation_ends_a_run_that_is_rolled_back(order: Workflow, bank: Bank) -> None:
    order.trigger()
    drain_here()
    roll_back()

    assert run_moves.cancel(only_run()) is State.CANCELED
    drain_here()

    assert bank.did == ["charge"]
    assert only_run().status == Run.Status.CANCELED


def test_a_rollback_that_is_cancelled_half_way_says_so(
    define: Define, bank: Bank, clock: Clock
) -> None:
    @define(retries=5, retry_delay="1h")
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=bank.refund)
        await undoable.run("charge", bank.charge)
        await context.sleep("think", "1d")

    bank.is_open = False
    story.trigger()
    drain_here()
    roll_back()
    drain_here()
    assert rollback_of(only_run()) is None, "it goes on"
    run_moves.cancel(only_run())

    assert (end := rollback_of(only_run())) is not None
    assert not end.is_complete
    assert end.error is not None
    assert "canceled while it was rolled back" in end.error


# -- what the run waits for


def test_nothing_that_the_run_waited_for_comes_to_it_any_more(
    define: Define, world: World, bank: Bank, clock: Clock
) -> None:
    @define(retries=5, retry_delay="1h")
    async def story(context: Any) -> Any:
        await context.options(rollback=bank.refund).run("charge", bank.charge)
        await context.parallel(
            lambda: context.call("ask", url="https://peer.example", retries=3, retry_delay="30m"),
            lambda: context.wait_for_event("approval", "approved", "10m"),
        )

    world.answers(500)
    bank.is_open = False
    story.trigger()
    drain_here()
    roll_back()
    drain_here()

    assert [kind for kind, *_ in owed_to(only_run())] == ["turn"]
    assert not Waiter.objects.exists()
    clock.advance("59m")
    assert drain_here() == 0


def test_a_run_that_it_has_invoked_goes_on(define: Define, bank: Bank) -> None:
    @define("child")
    async def child(context: Any) -> Any:
        await context.wait_for_event("approval", "approved")

    @define("parent")
    async def parent(context: Any) -> Any:
        await context.options(rollback=bank.refund).run("charge", bank.charge)
        await context.invoke("child", workflow="child")

    parent.trigger()
    drain_here()
    run_moves.cancel(Run.objects.get(workflow="parent"), roll_back=True)
    drain_here()

    assert Run.objects.get(workflow="parent").status == Run.Status.CANCELED
    assert Invocation.objects.get().child.is_live


def test_an_attempt_of_the_function_that_is_to_come_is_not_waited_for(
    define: Define, bank: Bank, clock: Clock
) -> None:
    @define(retries=3, retry_delay="1h")
    async def story(context: Any) -> Any:
        await context.options(rollback=bank.refund).run("charge", bank.charge)
        raise ConnectionError

    story.trigger()
    drain_here()
    roll_back()
    drain_here()

    assert bank.did == ["charge", "refund 7"]
    assert only_run().status == Run.Status.CANCELED


# -- while a turn is at work


def test_the_step_in_flight_ends_and_is_undone(
    road: Road, define: Define, bank: Bank, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        def charge() -> int:
            roll_back()
            return bank.charge()

        undoable = context.options(rollback=bank.refund)
        await undoable.run("charge", charge)
        await undoable.run("charge again", bank.charge)

    story.trigger()
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]


@pytest.mark.parametrize("way", ["return", "cancel", "continue_as_new", "wait"])
def test_a_turn_that_ends_as_this_is_asked_for_leads_to_the_rollback(
    way: str, define: Define, bank: Bank, asked_as_a_turn_ends: None
) -> None:
    """Though no step tells it."""

    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.options(rollback=bank.refund).run("charge", bank.charge)
        if way == "wait":
            await context.wait_for_event("approval", "approved")
        elif way != "return":
            await getattr(context, way)()

    story.trigger()
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]


def test_a_turn_that_fails_as_this_is_asked_for_does_not_fail_the_run(
    define: Define, asked_as_a_turn_ends: None
) -> None:
    """Unless it has begun to undo what was done: then that goes on."""

    @define(retries=0)
    async def story(context: Any) -> Any:
        raise LookupError

    story.trigger()
    drain_here()

    assert only_run().status == Run.Status.CANCELED


def test_a_worker_that_died_has_its_step_undone_as_one_that_did_not_finish(
    define: Define, clock: Clock
) -> None:
    undos: list[Undo] = []

    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.options(rollback=undos.append).run("charge", lambda: None)

    story.trigger()
    leases.claim(1)
    roll_back()
    clock.advance("1h")
    drain_here()

    assert [(undo.key, undo.finished) for undo in undos] == [("charge", False)]
    assert only_run().status == Run.Status.CANCELED


def test_a_claim_that_was_given_back_has_begun_no_step(define: Define, clock: Clock) -> None:
    undos: list[Undo] = []

    @define(retries=0)
    async def story(context: Any) -> Any:
        await context.options(rollback=undos.append).run("charge", lambda: None)

    story.trigger()
    leases.give_back(leases.claim(1))
    roll_back()
    drain_here()

    assert undos == []
    assert only_run().status == Run.Status.CANCELED


# -- when it cannot be done


def test_a_rollback_that_fails_is_a_dead_letter_and_resumed_from_there(
    order: Workflow, bank: Bank
) -> None:
    bank.is_open = False
    order.trigger()
    drain_here()
    roll_back()
    drain_here()

    failed = only_run()
    assert error_of(failed) == (
        "RollbackFailed",
        'the run was to be rolled back; not undone: step "charge": ConnectionError: the bank is '
        "closed",
    )
    assert (end := rollback_of(failed)) is not None
    assert end.error is not None
    assert "the bank is closed" in end.error

    bank.is_open = True
    new = resume(letter_of(failed))
    assert new.undoing_at is not None
    drain_here()

    new.refresh_from_db()
    assert new.status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]


def test_a_rollback_that_could_not_begin_begins_when_the_run_is_resumed(
    order: Workflow, bank: Bank, world: World
) -> None:
    order.trigger()
    drain_here()
    world.failure = ConnectionError("no endpoint")
    roll_back()
    drain_here()
    world.failure = None

    new = resume(letter_of(Run.objects.get(status=Run.Status.FAILED)))
    drain_here()

    new.refresh_from_db()
    assert new.status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]


def test_a_function_that_cannot_be_reached_is_tried_as_often_as_ever(
    define: Define, bank: Bank, world: World, clock: Clock
) -> None:
    """Whatever attempts at it there were before."""

    @define(retries=2, retry_delay="1m")
    async def story(context: Any) -> Any:
        await context.options(rollback=bank.refund).run("charge", bank.charge)
        if context.attempt < 3:
            raise ConnectionError
        await context.sleep("think", "1d")

    story.trigger()
    for _ in range(3):
        drain_here()
        clock.advance("1m")
    world.failure = ConnectionError("no endpoint")
    roll_back()
    for _ in range(2):
        drain_here()
        clock.advance("1m")
    world.failure = None
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]


def test_every_rollback_shows_since_when_it_has_been_going_on(
    define: Define, bank: Bank, clock: Clock
) -> None:
    """Also that of a run which failed."""

    @define(retries=0)
    async def story(context: Any) -> Any:
        undoable = context.options(retries=1, retry_delay="1h", rollback=bank.refund)
        await undoable.run("charge", bank.charge)
        await context.run("ship", bank.ship)

    bank.is_open = False
    story.trigger()
    drain_here()

    assert only_run().undoing_at == clock.now


def test_an_event_that_comes_meanwhile_is_no_use(order: Workflow, bank: Bank) -> None:
    order.trigger(workflow_run_id="order-7")
    drain_here()
    roll_back()
    notify("approved", None, "order-7")
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]
    assert not Event.objects.exists()


# -- while it is paused


def test_a_paused_run_goes_on_in_order_to_be_rolled_back(
    order: Workflow, bank: Bank, clock: Clock
) -> None:
    order.trigger()
    drain_here()
    pausing.pause(only_run())
    clock.advance("2d")

    assert roll_back() is State.ROLLING_BACK
    assert only_run().paused_at is None
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert bank.did == ["charge", "refund 7"]
