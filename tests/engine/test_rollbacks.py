"""Runs that are rolled back, in the database: crashes, the dead letter queue, resuming."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.reading import error_of, journal_of, letter_of, only_run
from tests.shells import Define
from workflows_app import RunFailed, StepError, Undo
from workflows_app.engine import run_moves
from workflows_app.engine.dead_letters import restart, resume
from workflows_app.engine.drain import drain_here
from workflows_app.errors import Refused
from workflows_app.models import Account, DeadLetter, Message, Run, Step

pytestmark = pytest.mark.django_db(transaction=True)


class Bank:
    """Whether it is open decides whether money can be given back."""

    def __init__(self) -> None:
        self.is_open = True
        self.did: list[str] = []

    def charge(self) -> int:
        self.did.append("charge")
        return 7

    def refund(self, undo: Undo) -> None:
        if not self.is_open:
            raise ConnectionError("the bank is closed")
        self.did.append(f"refund {undo.result}")

    def ship(self) -> None:
        raise LookupError("no such street")


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def order(define: Define, bank: Bank) -> Any:
    @define(retries=0)
    async def story(context: Any) -> Any:
        context = context.options(rollback=bank.refund)
        await context.run("charge", bank.charge)
        await context.run("reserve", bank.charge)
        if context.request_payload == "rethink":
            await context.roll_back("changed his mind")
        await context.options(rollback=lambda undo: None).run("ship", bank.ship)

    return story


def failed_run() -> Run:
    return Run.objects.get(status=Run.Status.FAILED)


def test_a_run_that_fails_is_undone_before_it_is_a_dead_letter(order: Any, bank: Bank) -> None:
    def tell(failure: Any) -> None:
        bank.did.append(f"told of {failure.error_message}")

    order.on_failure(tell)
    order.trigger()
    drain_here()

    message = 'step "ship" failed after 1 attempt: LookupError: no such street'
    assert error_of(only_run()) == ("StepError", message)
    assert bank.did == ["charge", "charge", "refund 7", "refund 7", f"told of {message}"]
    assert list(journal_of(only_run()).items()) == [
        ("charge", 7),
        ("reserve", 7),
        ("ship", None),
        ("@undo", ["ship", "reserve", "charge"]),
        ("ship@undo", None),
        ("reserve@undo", None),
        ("charge@undo", None),
    ]
    kinds = Step.objects.filter(kind=Step.Kind.ROLLBACK).order_by("pk")
    assert list(kinds.values_list("name", flat=True)) == [
        "rollback",
        "undo ship",
        "undo reserve",
        "undo charge",
    ]


def test_a_run_that_asked_for_it_is_no_dead_letter(order: Any, bank: Bank) -> None:
    order.trigger("rethink")
    drain_here()

    assert only_run().status == Run.Status.CANCELED
    assert bank.did == ["charge", "charge", "refund 7", "refund 7"]
    assert not DeadLetter.objects.exists()
    assert not Message.objects.exists()


def test_an_inline_run_raises_once_it_is_undone(order: Any, bank: Bank) -> None:
    with pytest.raises(RunFailed):
        order.run()

    assert bank.did == ["charge", "charge", "refund 7", "refund 7"]


def test_an_undo_waits_for_its_next_attempt_and_can_be_woken(
    define: Define, bank: Bank, clock: Clock
) -> None:
    @define(retries=0)
    async def story(context: Any) -> Any:
        patient = context.options(retries=5, retry_delay="1h", rollback=bank.refund)
        await patient.run("charge", bank.charge)
        await context.run("ship", bank.ship)

    bank.is_open = False
    story.trigger()
    drain_here()
    assert only_run().status == Run.Status.RUNNING

    bank.is_open = True
    run_moves.wake(only_run())
    drain_here()

    assert error_of(only_run())[0] == "StepError"
    assert bank.did == ["charge", "refund 7"]


def test_a_run_whose_steps_have_all_been_undone_cannot_be_resumed(order: Any, bank: Bank) -> None:
    order.trigger(workflow_run_id="order-7")
    drain_here()

    with pytest.raises(Refused) as refusal:
        resume(letter_of(only_run()))

    assert refusal.value.message == (
        "run order-7 was rolled back: what its steps had done has been undone, so there is nothing "
        "to go on with; restart it, to run all steps again"
    )
    assert DeadLetter.objects.count() == Run.objects.count() == 1


def test_it_can_be_restarted(order: Any, bank: Bank) -> None:
    order.trigger()
    drain_here()
    bank.did.clear()

    restart(letter_of(only_run()))
    drain_here()

    assert bank.did == ["charge", "charge", "refund 7", "refund 7"]


@pytest.mark.parametrize("body", [None, "rethink"], ids=["failed", "on request"])
def test_what_could_not_be_undone_is_tried_again_when_the_run_is_resumed(
    order: Any, bank: Bank, body: Any
) -> None:
    bank.is_open = False
    order.trigger(body)
    drain_here()
    kind, message = error_of(failed_run())
    assert "; not undone: " in message
    assert kind == ("RollbackFailed" if body else "StepError")
    assert bank.did == ["charge", "charge"]

    bank.is_open = True
    new = resume(letter_of(failed_run()))
    drain_here()

    new.refresh_from_db()
    assert bank.did == ["charge", "charge", "refund 7", "refund 7"]
    if body:
        assert new.status == Run.Status.CANCELED
        assert not DeadLetter.objects.exists()
    else:
        failure = 'step "ship" failed after 1 attempt: LookupError: no such street'
        assert error_of(new) == (StepError.__name__, failure)
        with pytest.raises(Refused):
            resume(letter_of(new))


def test_an_atomic_step_is_undone_in_one_transaction_with_its_entry(
    define: Define, clock: Clock
) -> None:
    """The first attempt's writes are gone when the second begins."""
    names: list[list[str]] = []

    def others() -> list[str]:
        return sorted(Account.objects.exclude(name="default").values_list("name", flat=True))

    def remove(undo: Undo) -> None:
        names.append(others())
        Account.objects.filter(pk=undo.result).delete()
        if len(names) == 1:
            raise ConnectionError("no route")

    @define(retries=1, retry_delay="1m")
    async def story(context: Any) -> Any:
        undoable = context.options(rollback=remove, timeout="1m")
        await undoable.atomic("open", lambda: Account.objects.create(name="ada").pk)
        await context.options(retries=0).run("fail", int, "no number")

    story.trigger()
    drain_here()
    clock.advance("1m")
    drain_here()

    assert names == [["ada"], ["ada"]]
    assert others() == []
    assert error_of(only_run())[0] == "StepError"
