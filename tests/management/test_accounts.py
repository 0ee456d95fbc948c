"""`workflows account`."""

from __future__ import annotations

import re

import pytest

from tests.engine.conftest import bell
from tests.engine.world import Bell
from tests.management.conftest import Verb
from workflows_app.engine.accounts import find_token
from workflows_app.models import Account

__all__ = ["bell"]

pytestmark = pytest.mark.django_db


def test_a_new_account_is_shown_by_the_id_that_names_it_in_paths(workflows: Verb) -> None:
    said = workflows("account", "create", "books")

    account = Account.objects.get(name="books")
    assert said.stdout == [account.public_id.hex]
    assert re.fullmatch("[0-9a-f]{32}", said.stdout[0])
    assert account.parallelism is None
    assert said.stderr == ['"workflows token create ... --account books" lets somebody in']


def test_a_new_account_can_have_tokens_at_once(workflows: Verb) -> None:
    workflows("account", "create", "books")

    (secret,) = workflows("token", "create", "ci", "--account", "books").stdout

    token = find_token(secret)
    assert token is not None
    assert token.account.name == "books"


def test_an_account_is_made_once(workflows: Verb) -> None:
    workflows("account", "create", "books")

    again = workflows("account", "create", "books", "--parallelism", "3")

    assert again.refusal == 'there is an account "books" already'
    assert Account.objects.get(name="books").parallelism is None


@pytest.mark.parametrize("name", ["", "n" * 101, "a\nb"])
def test_a_name_that_cannot_be_used_is_refused(workflows: Verb, name: str) -> None:
    said = workflows("account", "create", name)

    assert said.refusal == "an account's name is a text of 1 to 100 printable characters"
    assert Account.objects.count() == 1


def test_accounts_are_listed_with_their_caps(workflows: Verb) -> None:
    workflows("account", "create", "books", "--parallelism", "50")
    default, books = Account.objects.order_by("id")

    assert workflows("account", "list").stdout == [
        f"{default.public_id.hex}  {default.created_at:%Y-%m-%d}  no cap          default",
        f"{books.public_id.hex}  {books.created_at:%Y-%m-%d}  cap 50          books",
    ]


def test_a_cap_is_set_changed_and_taken_away(workflows: Verb, bell: Bell) -> None:
    said = [workflows("account", "cap", "default", cap).stderr for cap in ("50", "none")]

    assert said == [
        ['account "default" has at most 50 deliveries at once from now on'],
        ['account "default" has as many deliveries at once as there is room for from now on'],
    ]
    assert Account.objects.default().parallelism is None
    assert bell.rings == 2


@pytest.mark.parametrize("cap", ["0", "-1", "many", "2147483648", ""])
def test_what_is_no_cap_is_refused(workflows: Verb, cap: str) -> None:
    said = workflows("account", "create", "books", f"--parallelism={cap}")

    assert said.refusal is not None
    assert "is not a whole number from 1 to 2147483647" in said.refusal
    assert not Account.objects.filter(name="books").exists()


def test_an_unknown_account_cannot_be_capped(workflows: Verb) -> None:
    said = workflows("account", "cap", "nobody", "5")

    assert said.refusal == 'there is no account "nobody" (there are: default)'
