"""The words that rows and query sets know, one by one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.models.test_constraints import NOON, a_message, a_run, a_step, an_ended_run
from workflows_app.models import (
    Account,
    Attempt,
    DeadLetter,
    FlowControl,
    Message,
    Run,
    RunLabel,
    Token,
)
from workflows_app.models.access import hash_token, mint_token

pytestmark = pytest.mark.django_db


# -- runs


def test_runs_belong_to_accounts() -> None:
    account, other = Account.objects.default(), Account.objects.create(name="other")
    mine, theirs = a_run(), a_run(account=other)

    assert list(Run.objects.of(account)) == [mine]
    assert list(Run.objects.of(other)) == [theirs]


def test_a_run_is_live_or_has_ended() -> None:
    live, ended = a_run(), an_ended_run(run_id="order-8")

    assert (live.is_live, ended.is_live) == (True, False)
    assert list(Run.objects.live()) == [live]
    assert list(Run.objects.ended()) == [ended]


def test_runs_that_ended_before_a_moment_can_be_found() -> None:
    a_run()
    old = an_ended_run(ended_at=NOON - timedelta(days=1))
    an_ended_run()

    assert list(Run.objects.ended_before(NOON)) == [old]


def test_runs_can_be_listed_newest_first() -> None:
    first, second = an_ended_run(), an_ended_run()

    assert list(Run.objects.newest_first()) == [second, first]


def test_runs_can_be_found_by_any_of_several_labels() -> None:
    north, both, _ = (an_ended_run(run_id=name) for name in ("north", "both", "none"))
    for run, name in ((north, "north"), (both, "north"), (both, "vip")):
        RunLabel.objects.create(run=run, name=name)

    assert list(Run.objects.labelled(["vip"])) == [both]
    assert list(Run.objects.labelled(["vip", "north"]).order_by("pk")) == [north, both]
    assert list(Run.objects.labelled([])) == []


def test_a_run_tells_its_headers_labels_and_error_as_values() -> None:
    run = an_ended_run(
        headers='{"X-Tenant":"north"}', labels='["a","b"]', error='{"type":"OSError"}'
    )

    assert run.header_map == {"X-Tenant": "north"}
    assert run.label_list == ["a", "b"]
    assert run.error_info == {"type": "OSError"}


def test_a_run_without_headers_labels_and_error_has_none() -> None:
    run = a_run()

    assert (run.header_map, run.label_list, run.error_info) == ({}, [], None)


def test_steps_and_attempts_tell_their_errors_as_values() -> None:
    run = a_run()
    attempt = Attempt.objects.create(
        run=run, key="a", number=2, error='{"type":"OSError"}', started_at=NOON, ended_at=NOON
    )

    assert a_step(run).error_info is None
    assert a_step(run, key="b", error='{"type":"OSError"}').error_info == {"type": "OSError"}
    assert attempt.error_info == {"type": "OSError"}


# -- messages


def test_a_message_is_due_from_its_time_on_leased_or_not() -> None:
    past = a_message(an_ended_run(), due_at=NOON)
    lapsed = a_message(an_ended_run(), due_at=NOON, token="lapsed")
    a_message(an_ended_run(), due_at=NOON + timedelta(microseconds=1))
    a_message(an_ended_run(), due_at=None)

    assert list(Message.objects.due(NOON).order_by("pk")) == [past, lapsed]


def test_a_message_is_leased_until_its_lease_runs_out() -> None:
    a_message(an_ended_run(), due_at=NOON, token="lapsed")
    a_message(an_ended_run(), due_at=NOON + timedelta(seconds=1))
    leased = a_message(an_ended_run(), due_at=NOON + timedelta(seconds=1), token="live")

    assert list(Message.objects.leased(NOON)) == [leased]


def test_a_message_is_held_by_who_shows_its_token() -> None:
    message = a_message(a_run(), token="mine")

    assert list(Message.objects.held(message.pk, "mine")) == [message]
    assert not Message.objects.held(message.pk, "yours").exists()
    assert not Message.objects.held(message.pk + 1, "mine").exists()


@pytest.mark.parametrize(
    ("token", "due_at", "then"),
    [
        (None, None, NOON),
        (None, NOON + timedelta(days=1), NOON),
        ("leased", NOON + timedelta(seconds=9), NOON + timedelta(seconds=9)),
    ],
    ids=["waiting for a wake", "waiting for its time", "at work"],
)
def test_waking_a_run_makes_its_turn_due_unless_it_is_at_work(
    token: str | None, due_at: Any, then: Any
) -> None:
    run = a_run()
    turn = a_message(run, token=token, due_at=due_at)
    call = a_message(run, kind="call", key="ask", due_at=NOON + timedelta(days=1))

    assert Message.objects.wake_run(run.pk, NOON) == 1

    turn.refresh_from_db()
    call.refresh_from_db()
    assert (turn.wakes, turn.due_at, turn.token) == (1, then, token)
    assert (call.wakes, call.due_at) == (0, NOON + timedelta(days=1))


def test_a_run_that_has_ended_has_no_turn_to_wake() -> None:
    run = an_ended_run()
    a_message(run, kind="failure")

    assert Message.objects.wake_run(run.pk, NOON) == 0


# -- limits


def control(**fields: Any) -> FlowControl:
    return FlowControl.objects.create(account_id=1, key="k", **fields)


def test_without_a_rate_any_number_may_start() -> None:
    assert control(parallelism=1).starts_left(NOON) is None


def test_starts_are_counted_within_a_window_that_begins_with_the_first() -> None:
    limits = control(rate=3, period=timedelta(seconds=10))
    assert (limits.starts_left(NOON), limits.window_ends_at()) == (3, None)

    limits.count_starts(2, NOON)
    later = NOON + timedelta(seconds=9)
    assert limits.starts_left(later) == 1
    limits.count_starts(1, later)

    assert limits.starts_left(later) == 0
    assert limits.window_ends_at() == NOON + timedelta(seconds=10)
    limits.refresh_from_db()
    assert (limits.window_started_at, limits.window_count) == (NOON, 3)


def test_a_new_window_begins_with_the_first_start_after_the_old_one() -> None:
    limits = control(rate=3, period=timedelta(seconds=10))
    limits.count_starts(3, NOON)
    later = NOON + timedelta(seconds=25)

    assert limits.starts_left(NOON + timedelta(seconds=10)) == 3
    limits.count_starts(1, later)
    assert (limits.window_started_at, limits.window_count) == (later, 1)


def test_a_rate_that_was_lowered_leaves_no_debts() -> None:
    limits = control(rate=5, period=timedelta(seconds=10))
    limits.count_starts(5, NOON)
    limits.rate = 2

    assert limits.starts_left(NOON) == 0


# -- dead letters


def test_dead_letters_belong_to_accounts_and_have_public_ids() -> None:
    account, other = Account.objects.default(), Account.objects.create(name="other")
    mine = DeadLetter.objects.create(account=account, run=an_ended_run(), created_at=NOON)
    theirs = DeadLetter.objects.create(
        account=other, run=an_ended_run(account=other), created_at=NOON
    )

    assert mine.public_id == f"1893585600000-{mine.pk}"
    assert list(DeadLetter.objects.of(account)) == [mine]
    assert list(DeadLetter.objects.of(other)) == [theirs]


# -- access


def test_a_token_is_usable_until_it_is_revoked() -> None:
    token = Token.objects.create(account_id=1, name="deploy", digest=hash_token("secret"))

    assert list(Token.objects.usable()) == [token]
    token.revoke(NOON)
    assert list(Token.objects.usable()) == []
    token.refresh_from_db()
    assert token.revoked_at == NOON


def test_a_full_token_may_write_and_a_read_only_one_may_not() -> None:
    assert Token(scope=Token.Scope.FULL).may_write
    assert not Token(scope=Token.Scope.READ_ONLY).may_write


def test_a_minted_token_differs_every_time() -> None:
    assert mint_token("ada") != mint_token("ada")


def test_an_account_has_two_signing_keys_and_ids_of_its_own() -> None:
    one, two = Account.objects.create(name="one"), Account.objects.create(name="two")

    assert one.signing_keys == (one.current_signing_key, one.next_signing_key)
    assert len({*one.signing_keys, *two.signing_keys}) == 4
    assert one.user_id != two.user_id
    assert one.public_id != two.public_id


def test_rows_name_themselves_for_people() -> None:
    run = an_ended_run()
    attempt = Attempt(run=run, key="charge", number=2)
    letter = DeadLetter.objects.create(account_id=1, run=run, created_at=NOON)

    assert [
        str(each)
        for each in (
            Account(name="north"),
            Token(name="deploy"),
            run,
            RunLabel(run=run, name="vip"),
            a_step(run, key="charge@1"),
            attempt,
            Attempt(run=run, number=1),
            a_message(run, kind="failure"),
            FlowControl(key="orders"),
            letter,
        )
    ] == [
        "north",
        "deploy",
        "order-7",
        "vip",
        "charge@1",
        "charge attempt 2",
        "run attempt 1",
        f"failure of {run.pk}",
        "orders",
        letter.public_id,
    ]
