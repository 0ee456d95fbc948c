"""What a run is said to be doing, one by one, as a search, and in numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from workflows_app.engine import states
from workflows_app.engine.states import State, count_by_state, in_state, states_of
from workflows_app.models import Account, FlowControl, Message, Run

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
Make = Callable[..., Run]

UNCLAIMED: dict[str, Any] = {"kind": "turn", "due": -HOUR}
LEASED = {**UNCLAIMED, "due": HOUR, "token": "its lease"}
LAPSED = {**UNCLAIMED, "token": "its lease"}
ASLEEP = {**UNCLAIMED, "due": HOUR}
IDLE = {**UNCLAIMED, "due": None}
ENDED = {"ended_at": timedelta()}
PAUSED = {"paused_at": -HOUR}
UNDOING = {"undoing_at": -HOUR}

CASES: dict[str, tuple[State, dict[str, Any], list[dict[str, Any]]]] = {
    "due": (State.QUEUED, {}, [UNCLAIMED]),
    "taken from who had it too long": (State.QUEUED, {}, [LAPSED]),
    "a delivery is due": (State.QUEUED, {"workflow": ""}, [{**UNCLAIMED, "kind": "delivery"}]),
    "a call is due": (State.QUEUED, {}, [IDLE, {**UNCLAIMED, "kind": "call"}]),
    "claimed": (State.RUNNING, {}, [LEASED]),
    "an endpoint is asked": (State.RUNNING, {"workflow": ""}, [{**LEASED, "kind": "delivery"}]),
    "a call is sent": (State.RUNNING, {}, [IDLE, {**LEASED, "kind": "call"}]),
    "one of two branches": (State.RUNNING, {}, [UNCLAIMED, {**LEASED, "kind": "call"}]),
    "asleep": (State.WAITING, {}, [ASLEEP]),
    "waits for an event": (State.WAITING, {}, [IDLE, {**ASLEEP, "kind": "timeout"}]),
    "a deadline is settled": (State.WAITING, {}, [IDLE, {**LEASED, "kind": "timeout"}]),
    "a deadline has come": (State.WAITING, {}, [IDLE, {**UNCLAIMED, "kind": "timeout"}]),
    "elsewhere, waits for a run": (State.WAITING, {"workflow": ""}, []),
    "a step is in flight": (State.PAUSING, PAUSED, [LEASED]),
    "a call is in flight": (State.PAUSING, PAUSED, [IDLE, {**LEASED, "kind": "call"}]),
    "paused": (State.PAUSED, PAUSED, [IDLE]),
    "paused with what is due": (State.PAUSED, PAUSED, [UNCLAIMED]),
    "paused while it is rolled back": (State.PAUSED, PAUSED | UNDOING, [IDLE]),
    "rolled back": (State.ROLLING_BACK, UNDOING, [LEASED]),
    "to be rolled back": (State.ROLLING_BACK, UNDOING, [UNCLAIMED]),
    "succeeded": (State.SUCCEEDED, {"status": "succeeded", **ENDED}, []),
    "failed": (State.FAILED, {"status": "failed", **ENDED}, [{**UNCLAIMED, "kind": "failure"}]),
    "canceled": (State.CANCELED, {"status": "canceled", **ENDED}, []),
    "rolled back to its end": (State.FAILED, {"status": "failed", **ENDED, **UNDOING}, []),
}


@pytest.fixture
def make(account: Account, clock: Clock) -> Make:
    """A run of these columns, owed these messages; times are said as distances from now."""

    def make(columns: dict[str, Any], owed: list[dict[str, Any]], **more: Any) -> Run:
        said: dict[str, Any] = {"workflow": "story", **columns, **more}
        for name in ("ended_at", "paused_at", "undoing_at"):
            if name in said:
                said[name] += clock.now
        run = Run.objects.create(
            **{"account": account, "run_id": "order-7", "retries": 3, "created_at": clock.now}
            | said
        )
        for number, message in enumerate(owed):
            values = {name: value for name, value in message.items() if name != "due"}
            due_at = None if message["due"] is None else clock.now + message["due"]
            Message.objects.create(
                account=run.account,
                run=run,
                key=str(number),
                due_at=due_at,
                created_at=clock.now,
                **values,
            )
        return run

    return make


@pytest.fixture(params=[states.FEW, 0], ids=["few", "many"])
def most_looked_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which a search goes about it."""
    monkeypatch.setattr(states, "FEW", request.param)


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_in_one_state_which_a_search_finds_it_in(
    case: str, make: Make, most_looked_up: None
) -> None:
    state, columns, owed = CASES[case]
    run = make(columns, owed)

    assert states_of([run]) == {run.pk: state}
    assert [each for each in State if in_state(Run.objects.all(), each).exists()] == [state]


def test_a_run_that_has_ended_since_it_was_read_is_said_to_have(make: Make) -> None:
    read = make({}, [LEASED])
    Run.objects.update(status="succeeded", live_id=None, ended_at=read.created_at)
    Message.objects.all().delete()

    assert states_of([read]) == {read.pk: State.SUCCEEDED}
    assert read.ended_at == read.created_at


def test_a_search_finds_all_runs_of_a_state_in_the_order_that_it_is_asked_for(
    make: Make, most_looked_up: None
) -> None:
    runs = [make(columns, owed) for _, columns, owed in [*CASES.values(), *CASES.values()]]
    told = states_of(Run.objects.order_by("pk"))

    assert list(told.values()) == [state for state, _, _ in CASES.values()] * 2
    for state in State:
        newest_first = in_state(Run.objects.all(), state).order_by("-id")
        assert list(newest_first) == [run for run in reversed(runs) if told[run.pk] is state]


def test_what_shares_a_limit_is_searched_as_everything_else(
    make: Make, account: Account, most_looked_up: None
) -> None:
    control = FlowControl.objects.create(account=account, key="vendor", parallelism=1)
    queued, waiting = make({}, [UNCLAIMED]), make({}, [ASLEEP])
    Message.objects.update(flow_control=control)

    assert list(in_state(Run.objects.all(), State.QUEUED)) == [queued]
    assert list(in_state(Run.objects.all(), State.WAITING)) == [waiting]


def test_a_search_keeps_to_the_runs_that_it_is_given(
    make: Make, other_account: Account, most_looked_up: None
) -> None:
    for _, columns, owed in CASES.values():
        make(columns, owed, account=other_account)

    for state in State:
        assert not in_state(Run.objects.of(Account.objects.default()), state).exists()


def test_time_alone_makes_a_sleeper_queued(make: Make, clock: Clock) -> None:
    run = make({}, [ASLEEP])
    clock.advance("1h")

    assert states.state_of(run) is State.QUEUED


def test_the_states_of_many_runs_take_two_queries(make: Make) -> None:
    runs = [make(columns, owed) for _, columns, owed in CASES.values()]

    with CaptureQueriesContext(connection) as queries:
        states_of(runs)
    assert len(queries) == 2


def test_runs_are_counted_by_workflow_and_state(
    make: Make, account: Account, other_account: Account
) -> None:
    for _, columns, owed in CASES.values():
        make(columns, owed)
        make(columns, owed, account=other_account)
    make({}, [ASLEEP], workflow="other")
    make({}, [ASLEEP], workflow="not asked for")

    local = [state for state, columns, _ in CASES.values() if "workflow" not in columns]
    assert count_by_state(account, ["story", "other", "unknown"]) == {
        "story": {state: local.count(state) for state in State},
        "other": {State.WAITING: 1},
        "unknown": {},
    }


def test_a_run_in_whose_place_another_one_has_gone_on_is_not_counted_beside_it(
    make: Make, account: Account
) -> None:
    first = make({"status": "succeeded", **ENDED}, [])
    second = make({"status": "canceled", **ENDED}, [], origin=first)
    make({}, [ASLEEP], origin=second)
    failed = make({"status": "failed", **ENDED}, [], run_id="order-8")
    make({"status": "succeeded", **ENDED}, [], run_id="order-9", origin=failed)

    assert count_by_state(account, ["story"]) == {
        "story": {State.WAITING: 1, State.FAILED: 1, State.SUCCEEDED: 1}
    }
