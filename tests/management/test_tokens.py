"""`workflows token` and `workflows keys`."""

from __future__ import annotations

import pytest

from tests.conftest import Clock
from tests.management.conftest import Verb
from workflows_app.engine.accounts import find_token
from workflows_app.models import Account, Token

pytestmark = pytest.mark.django_db


def test_a_new_token_is_shown_once_and_lets_in(workflows: Verb) -> None:
    said = workflows("token", "create", "ci")

    (secret,) = said.stdout
    token = find_token(secret)
    assert token is not None
    assert (token.name, token.scope, token.account.name) == ("ci", "full", "default")
    assert said.stderr == ["keep it: only its hash is stored, and it is not shown again"]


def test_a_token_may_be_for_reading_only(workflows: Verb) -> None:
    (secret,) = workflows("token", "create", "dashboard", "--read-only").stdout

    token = find_token(secret)
    assert token is not None
    assert not token.may_write


def test_tokens_are_listed_without_their_secrets(workflows: Verb, clock: Clock) -> None:
    secrets = [
        *workflows("token", "create", "ci").stdout,
        *workflows("token", "create", "dashboard", "--read-only").stdout,
    ]
    first, second = Token.objects.order_by("id")
    workflows("token", "revoke", str(first.pk))

    listed = workflows("token", "list").stdout

    assert [line.split()[0] for line in listed] == [str(first.pk), str(second.pk)]
    assert [line.split()[1] for line in listed] == ["full", "read_only"]
    assert "revoked 2030-01-02" in listed[0]
    assert "valid" in listed[1]
    assert listed[0].endswith("ci")
    assert not any(secret in line for secret in secrets for line in listed)


def test_a_revoked_token_lets_nobody_in(workflows: Verb) -> None:
    (secret,) = workflows("token", "create", "ci").stdout
    token = Token.objects.get()

    said = workflows("token", "revoke", str(token.pk))

    assert said.stderr == [f'token {token.pk} "ci" is refused from now on']
    assert find_token(secret) is None


def test_a_token_is_revoked_once(workflows: Verb) -> None:
    workflows("token", "create", "ci")
    token = Token.objects.get()
    workflows("token", "revoke", str(token.pk))

    again = workflows("token", "revoke", str(token.pk))

    assert again.refusal == f'token {token.pk} "ci" was revoked before'


def test_tokens_of_other_accounts_are_neither_shown_nor_revoked(workflows: Verb) -> None:
    Account.objects.create(name="other")
    workflows("token", "create", "theirs", "--account", "other")
    token = Token.objects.get()

    assert workflows("token", "list").stdout == []
    assert workflows("token", "revoke", str(token.pk)).refusal == (
        f'account "default" has no token {token.pk}; "workflows token list" shows them'
    )
    assert len(workflows("token", "list", "--account", "other").stdout) == 1


@pytest.mark.parametrize(
    "arguments", [("token", "list"), ("token", "create", "ci"), ("keys", "show")]
)
def test_an_unknown_account_is_answered_with_those_that_exist(
    workflows: Verb, arguments: tuple[str, ...]
) -> None:
    said = workflows(*arguments, "--account", "nobody")

    assert said.refusal == 'there is no account "nobody" (there are: default)'


@pytest.mark.parametrize("name", ["", "n" * 101])
def test_a_name_that_cannot_be_stored_is_refused(workflows: Verb, name: str) -> None:
    said = workflows("token", "create", name)

    assert said.refusal == "a token's name is a text of 1 to 100 characters"
    assert not Token.objects.exists()


def shown_keys(stdout: list[str]) -> tuple[str, ...]:
    current, following = stdout
    assert current.startswith("QSTASH_CURRENT_SIGNING_KEY=")
    assert following.startswith("QSTASH_NEXT_SIGNING_KEY=")
    return current.partition("=")[2], following.partition("=")[2]


def test_keys_are_shown_as_clients_read_them(workflows: Verb) -> None:
    said = workflows("keys", "show")

    assert shown_keys(said.stdout) == Account.objects.default().signing_keys


def test_rotating_makes_the_next_key_the_current_one(workflows: Verb) -> None:
    _, following = Account.objects.default().signing_keys

    current, fresh = shown_keys(workflows("keys", "rotate").stdout)

    assert current == following
    assert (current, fresh) == Account.objects.default().signing_keys
