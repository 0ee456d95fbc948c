"""Tokens and keys are read once a second, however many ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from workflows_app.engine import recent
from workflows_app.engine.accounts import (
    create_token,
    find_token,
    read_account,
    revoke_token,
    rotate_signing_keys,
)
from workflows_app.engine.database import connection
from workflows_app.models import Account, Token

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    recent.forget()
    yield
    recent.forget()


def revoke_elsewhere(secret: str) -> None:
    """As another process does: this one hears nothing of it."""
    token = find_token(secret)
    assert token is not None
    Token.objects.filter(pk=token.pk).update(revoked_at="2030-01-01T00:00:00Z")


def queries_to_find(secret: str) -> int:
    with CaptureQueriesContext(connection()) as queries:
        assert find_token(secret) is not None
    return len(queries)


def test_a_token_is_read_once_a_second(account: Account, clock: Clock) -> None:
    secret = create_token(account, "ci", Token.Scope.FULL)

    assert queries_to_find(secret) == 1
    assert queries_to_find(secret) == 0
    clock.advance("1s")
    assert queries_to_find(secret) == 1


def test_a_token_that_is_revoked_elsewhere_lives_for_another_second(
    account: Account, clock: Clock
) -> None:
    secret = create_token(account, "ci", Token.Scope.FULL)
    revoke_elsewhere(secret)

    assert find_token(secret) is not None
    clock.advance("1s")
    assert find_token(secret) is None


def test_a_token_that_this_process_revokes_is_dead_at_once(account: Account, clock: Clock) -> None:
    secret = create_token(account, "ci", Token.Scope.FULL)
    token = find_token(secret)
    assert token is not None

    revoke_token(token)

    assert find_token(secret) is None


def test_a_new_token_lives_at_once_though_it_was_asked_for_before(
    account: Account, clock: Clock
) -> None:
    assert find_token("chosen") is None

    create_token(account, "ci", Token.Scope.FULL, "chosen")

    assert find_token("chosen") is not None


def test_keys_that_this_process_rotates_are_signed_with_at_once(
    account: Account, clock: Clock
) -> None:
    before = read_account(account.pk)

    rotate_signing_keys(account)

    assert read_account(account.pk).current_signing_key == before.next_signing_key


def test_what_a_transaction_saw_and_took_back_is_not_kept(account: Account, clock: Clock) -> None:
    with transaction.atomic():
        secret = create_token(account, "ci", Token.Scope.FULL)
        assert find_token(secret) is not None
        transaction.set_rollback(True)

    assert find_token(secret) is None


def test_a_function_that_once_changed_something_in_its_transaction_remembers_from_then_on(
    account: Account, clock: Clock
) -> None:
    asked: list[str] = []

    def read() -> str:
        asked.append("read")
        return "known"

    @transaction.atomic
    def change_and_ask(*changed: Account) -> None:
        for each in changed:
            each.save()
        recent.recently("something", read)

    change_and_ask(account)
    change_and_ask()
    change_and_ask()

    assert len(asked) == 2


def test_a_clock_that_is_set_back_does_not_make_an_answer_older(
    account: Account, clock: Clock
) -> None:
    secret = create_token(account, "ci", Token.Scope.FULL)
    revoke_elsewhere(secret)

    clock.stop_at(clock.now - timedelta(hours=1))

    assert find_token(secret) is None
