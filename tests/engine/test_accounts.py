"""Accounts, tokens and signing keys."""

from __future__ import annotations

import base64
import json

import pytest

from tests.conftest import Clock
from workflows_app.engine.accounts import (
    create_token,
    ensure_default_account,
    find_token,
    revoke_token,
    rotate_signing_keys,
)
from workflows_app.models import Account, Token

pytestmark = pytest.mark.django_db


def test_a_database_that_has_been_migrated_has_a_default_account(account: Account) -> None:
    assert (account.pk, account.name) == (1, "default")


def test_the_default_account_is_made_once(account: Account) -> None:
    ensure_default_account()
    ensure_default_account(using="another database")

    assert Account.objects.count() == 1
    assert Account.objects.default() == account


def test_a_default_account_that_is_missing_is_made_again(account: Account) -> None:
    Account.objects.all().delete()
    ensure_default_account()

    assert Account.objects.default().name == "default"
    assert Account.objects.create(name="next").pk > 1


def test_a_token_is_told_once_and_only_its_hash_is_stored(account: Account) -> None:
    secret = create_token(account, "deploy", Token.Scope.READ_ONLY)

    token = Token.objects.get()
    assert find_token(secret) == token
    assert (token.account, token.name, token.scope) == (account, "deploy", "read_only")
    assert secret not in str(Token.objects.values().get())
    assert len(token.digest) == 64


def test_a_token_says_whose_it_is_as_the_sdks_read_it(account: Account) -> None:
    body = json.loads(base64.b64decode(create_token(account, "deploy", Token.Scope.FULL)))

    assert body["UserID"] == account.user_id
    assert len(body["Password"]) >= 32


def test_no_two_tokens_are_alike(account: Account) -> None:
    assert create_token(account, "a", Token.Scope.FULL) != create_token(
        account, "a", Token.Scope.FULL
    )


def test_a_token_that_is_given_is_taken_as_it_is(account: Account) -> None:
    assert create_token(account, "known", Token.Scope.FULL, "letmein") == "letmein"
    assert find_token("letmein") is not None
    assert find_token("Letmein") is None


def test_a_revoked_token_is_found_no_more(account: Account, clock: Clock) -> None:
    secret = create_token(account, "deploy", Token.Scope.FULL)
    revoke_token(Token.objects.get())

    assert find_token(secret) is None
    assert Token.objects.get().revoked_at == clock.now


def test_rotating_makes_the_next_key_the_current_one(account: Account) -> None:
    current, following = account.signing_keys
    rotated = rotate_signing_keys(account)

    assert rotated.current_signing_key == following
    assert rotated.next_signing_key not in (current, following)
    assert rotated.next_signing_key.startswith("sig_")
    assert Account.objects.default().signing_keys == rotated.signing_keys


def test_rotating_twice_from_a_stale_copy_still_moves_one_key_at_a_time(account: Account) -> None:
    first = rotate_signing_keys(account)
    second = rotate_signing_keys(account)

    assert second.current_signing_key == first.next_signing_key


def test_accounts_rotate_by_themselves(account: Account, other_account: Account) -> None:
    rotate_signing_keys(account)

    assert Account.objects.get(pk=other_account.pk).signing_keys == other_account.signing_keys
