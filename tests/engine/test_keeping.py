"""The thread that renews the leases which this process holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from workflows_app import Context, Workflow, workflow
from workflows_app.engine import keeping, leases
from workflows_app.engine.keeping import Keeper
from workflows_app.engine.leases import Lease
from workflows_app.models import Message
from workflows_app.protocol.runs import StepInFlight

PATIENCE = 10
SHORT = "0.03s"
NEVER = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def story(registry: dict[str, Workflow]) -> Workflow:
    @workflow("story")
    def story(context: Context) -> None: ...

    return story


@pytest.fixture
def claimed(story: Workflow, transactional_db: None, settings: Settings) -> list[Lease]:
    """Three leases, of which renewals are due every few milliseconds."""
    settings.WORKFLOWS = {"LEASE": SHORT}
    story.trigger_many([None] * 3)
    return leases.claim(3)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


def ends(*held: Lease) -> list[datetime]:
    """When these leases run out."""
    messages = Message.objects.in_bulk([lease.message_id for lease in held])
    return [messages[lease.message_id].due_at or NEVER for lease in held]


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(PATIENCE * 200):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never happened")


def wait_for_renewal(*held: Lease) -> None:
    before = ends(*held)
    wait_until(lambda: all(now > then for now, then in zip(ends(*held), before, strict=True)))


def test_leases_are_held_while_they_are_worked_on(claimed: list[Lease], keeper: Keeper) -> None:
    first, second, _ = claimed
    with keeper.keeping(first), keeper.keeping(second):
        assert keeper.held() == [first, second]
    assert keeper.held() == []


def test_a_lease_is_let_go_also_when_its_work_fails(claimed: list[Lease], keeper: Keeper) -> None:
    with pytest.raises(ValueError, match="broken"), keeper.keeping(claimed[0]):
        raise ValueError("broken")

    assert keeper.held() == []


def test_two_leases_of_one_message_are_told_apart(claimed: list[Lease], keeper: Keeper) -> None:
    """As when one ran out, and the same process claimed the message again."""
    first, again = claimed[0], replace(claimed[0], token="another")
    with keeper.keeping(first):
        with keeper.keeping(again):
            assert keeper.held() == [first, again]
        assert keeper.held() == [first]


def test_what_is_held_is_renewed_again_and_again(claimed: list[Lease], keeper: Keeper) -> None:
    first, second, other = claimed
    (as_it_was,) = ends(other)
    with keeper.keeping(first), keeper.keeping(second):
        wait_for_renewal(first, second)
        wait_for_renewal(first, second)

    assert ends(other) == [as_it_was]


def test_what_is_no_longer_held_is_left_alone(claimed: list[Lease], keeper: Keeper) -> None:
    first, second, _ = claimed
    with keeper.keeping(second):
        with keeper.keeping(first):
            wait_for_renewal(first, second)
        wait_for_renewal(second)
        as_it_is = ends(first)
        wait_for_renewal(second)

    assert ends(first) == as_it_is


def test_a_renewal_that_fails_is_tried_again(
    claimed: list[Lease], keeper: Keeper, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with keeper.keeping(claimed[0]):
        settings.WORKFLOWS = {"LEASE": SHORT, "DATABASE": "a database that is away"}
        wait_until(lambda: "leases could not be renewed; trying again" in caplog.messages)
        settings.WORKFLOWS = {"LEASE": SHORT}
        wait_for_renewal(claimed[0])


def test_each_process_has_one_keeper() -> None:
    assert keeping.keeper() is keeping.keeper()
    assert isinstance(keeping.keeper(), Keeper)


def place(lease: Lease) -> tuple[str, datetime | None]:
    message = Message.objects.get(pk=lease.message_id)
    return message.at_step, message.at_step_since


def test_a_renewal_says_which_steps_are_in_flight(claimed: list[Lease]) -> None:
    at = StepInFlight(key="charge#2", since=datetime(2030, 1, 2, tzinfo=UTC))

    leases.renew(claimed, {claimed[1].message_id: at})
    assert [place(lease) for lease in claimed] == [("", None), (at.key, at.since), ("", None)]

    leases.renew(claimed[1:2])
    assert place(claimed[1]) == (at.key, at.since)

    leases.renew(claimed, {})
    assert place(claimed[1]) == ("", None)


def test_who_claims_a_message_next_is_at_no_step_yet(claimed: list[Lease]) -> None:
    at = StepInFlight(key="charge", since=datetime(2030, 1, 2, tzinfo=UTC))
    leases.renew(claimed, {claimed[0].message_id: at})
    leases.give_back(claimed)

    assert len(leases.claim(3)) == 3

    assert place(claimed[0]) == ("", None)
