"""What `workflows dev` finds or makes in its database."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError
from pytest_django import Settings

from workflows_app.engine import development
from workflows_app.engine.accounts import (
    create_token,
    find_token,
    revoke_token,
    rotate_signing_keys,
)
from workflows_app.engine.development import development_credentials
from workflows_app.management.preparing import admin_login, ensure_admin, prepare_database
from workflows_app.models import Account, Token

pytestmark = pytest.mark.django_db


def test_a_fresh_account_becomes_the_one_that_the_clients_expect() -> None:
    credentials = development_credentials()

    account = Account.objects.default()
    assert credentials.account == account
    assert account.user_id == "defaultUser"
    assert account.signing_keys == (
        "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
        "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
    )
    assert credentials.token == (
        "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0="
    )
    token = find_token(credentials.token)
    assert token is not None
    assert (token.account, token.may_write) == (account, True)
    assert credentials.are_known_to_everyone


def test_another_start_finds_all_of_it() -> None:
    development_credentials()
    before = Account.objects.values().get(), Token.objects.values().get()

    development_credentials()

    assert (Account.objects.values().get(), Token.objects.values().get()) == before


def test_keys_that_were_rotated_stay_rotated() -> None:
    rotated = rotate_signing_keys(development_credentials().account)

    assert development_credentials().account.signing_keys == rotated.signing_keys


def test_a_development_token_that_was_revoked_is_made_anew() -> None:
    development_credentials()
    revoke_token(Token.objects.get())

    development_credentials()

    assert find_token(development.TOKEN) is not None


def test_tokens_that_were_added_stay() -> None:
    account = development_credentials().account
    secret = create_token(account, "mine", Token.Scope.FULL)

    assert development_credentials().token == development.TOKEN
    assert find_token(secret) is not None


@pytest.fixture
def account_of_others() -> Account:
    account = Account.objects.default()
    create_token(account, "production", Token.Scope.FULL)
    return account


def test_an_account_with_tokens_of_its_own_is_not_opened_to_everyone(
    account_of_others: Account,
) -> None:
    credentials = development_credentials()

    assert not credentials.are_known_to_everyone
    assert find_token(development.TOKEN) is None
    assert credentials.account.user_id == account_of_others.user_id
    assert credentials.account.signing_keys == account_of_others.signing_keys
    token = find_token(credentials.token)
    assert token is not None
    assert (token.account, token.may_write) == (account_of_others, True)


def test_the_token_that_it_got_at_the_last_start_is_valid_no_more(
    account_of_others: Account,
) -> None:
    first = development_credentials().token

    second = development_credentials().token

    assert find_token(first) is None
    assert find_token(second) is not None
    assert account_of_others.tokens.count() == 2


def test_without_debug_nothing_is_prepared(settings: Settings) -> None:
    settings.DEBUG = False

    with pytest.raises(CommandError) as refused:
        prepare_database()

    assert 'make a token with "workflows token create"' in str(refused.value)
    assert not Token.objects.exists()


def test_an_administrator_is_made_where_there_is_none() -> None:
    ensure_admin()

    user = authenticate(username="admin", password="admin")
    assert user is not None
    assert user.is_superuser
    assert admin_login() == "admin / admin"


def test_a_second_start_makes_no_second_administrator() -> None:
    ensure_admin()
    ensure_admin()

    assert get_user_model().objects.count() == 1


def test_an_administrator_who_is_there_keeps_the_login_to_themselves() -> None:
    get_user_model().objects.create_superuser("ada", password="secret")

    ensure_admin()

    assert get_user_model().objects.count() == 1
    assert admin_login() is None


def test_a_changed_password_is_not_told() -> None:
    get_user_model().objects.create_superuser("admin", password="changed")

    assert admin_login() is None


def test_a_project_without_the_admin_gets_no_administrator(settings: Settings) -> None:
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "django.contrib.admin"
    ]

    ensure_admin()

    assert get_user_model().objects.count() == 0
    assert admin_login() is None
