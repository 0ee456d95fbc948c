"""Accounts, signing keys and tokens: what is secret is shown once, or never."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.admin.pages import messages, read, rows
from workflows_app.engine import accounts
from workflows_app.engine.accounts import find_token
from workflows_app.models import Account, Token

ACCOUNTS = "/admin/workflows_app/account/"
TOKENS = "/admin/workflows_app/token/"


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.default()


@pytest.fixture
def token(account: Account) -> Token:
    accounts.create_token(account, "ci", Token.Scope.READ_ONLY)
    return Token.objects.get()


def test_signing_keys_are_shown_by_their_last_characters_alone(
    admin_client: Client, account: Account
):
    listed = admin_client.get(ACCOUNTS)
    page = admin_client.get(f"{ACCOUNTS}{account.pk}/change/")

    assert "••••••" + account.current_signing_key[-4:] in read(page)
    for answer in (listed, page):
        for key in account.signing_keys:
            assert key not in answer.content.decode()
            assert key[-4:] in answer.content.decode()
    assert account.public_id.hex in read(page)


def test_the_page_of_an_account_says_who_needs_the_keys_and_where_they_are(
    admin_client: Client, account: Account
):
    page = read(admin_client.get(f"{ACCOUNTS}{account.pk}/change/"))

    assert "as QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY" in page
    assert "“manage.py workflows keys show” prints them" in page


def test_rotating_makes_the_next_key_the_current_one(admin_client: Client, account: Account):
    page = admin_client.post(f"{ACCOUNTS}{account.pk}/rotate-keys/", follow=True)

    rotated = Account.objects.get()
    assert rotated.current_signing_key == account.next_signing_key
    assert rotated.next_signing_key not in account.signing_keys
    sentence = "The signing keys of default were rotated: the next key is now the current one."
    assert messages(page) == [sentence]
    assert LogEntry.objects.get().get_change_message() == sentence


def test_accounts_are_rotated_from_the_list_after_a_question(
    admin_client: Client, account: Account
):
    chosen = {"action": "rotate-keys", "_selected_action": [str(account.pk)]}

    asked = admin_client.post(ACCOUNTS, chosen)
    page = admin_client.post(ACCOUNTS, {**chosen, "confirmed": "yes"}, follow=True)

    assert "1 account:\ndefault" in read(asked)
    assert messages(page) == ["1 rotated"]


def test_a_new_token_is_shown_once_and_never_again(admin_client: Client, account: Account):
    form = {"account": account.pk, "name": "ci", "scope": "full"}

    made = admin_client.post(f"{TOKENS}add/", form)

    shown = re.search(r"<textarea[^>]*>([^<]+)</textarea>", made.content.decode())
    assert shown is not None
    secret = shown[1]
    token = find_token(secret)
    assert token is not None
    assert (token.name, token.account, token.scope) == ("ci", account, "full")
    assert messages(made) == ["Token “ci” was made. Copy it now: it is shown only this once."]
    assert made.content.decode().count(secret) == 1
    assert "QSTASH_URL\nhttp://127.0.0.1:8000" in read(made)
    assert f"CLOUDFLARE_ACCOUNT_ID\n{account.public_id.hex}" in read(made)
    assert secret not in str(made.cookies)
    assert "no-store" in made["Cache-Control"]
    for later in (TOKENS, f"{TOKENS}{token.pk}/change/", f"{TOKENS}{token.pk}/history/", "/admin/"):
        content = admin_client.get(later).content.decode()
        assert secret not in content
        assert token.digest not in content
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["ci"]


def test_a_token_needs_a_name(admin_client: Client, account: Account):
    page = admin_client.post(f"{TOKENS}add/", {"account": account.pk, "name": "", "scope": "full"})

    assert "This field is required." in page.content.decode()
    assert not Token.objects.exists()


def test_tokens_are_listed_with_their_scope_and_state(admin_client: Client, token: Token):
    assert rows(admin_client.get(TOKENS))[0].startswith("ci default Read Only usable ")


def test_a_revoked_token_opens_nothing_any_more(admin_client: Client, token: Token):
    page = admin_client.post(f"{TOKENS}{token.pk}/revoke/", follow=True)

    assert messages(page) == ["Token “ci” was revoked."]
    assert not Token.objects.usable().exists()
    assert "revoked" in rows(admin_client.get(TOKENS))[0]
    again = admin_client.post(f"{TOKENS}{token.pk}/revoke/", follow=True)
    assert messages(again) == ["Token “ci” has been revoked already"]


def test_a_token_is_neither_edited_nor_deleted(admin_client: Client, token: Token):
    answers = [
        admin_client.post(f"{TOKENS}{token.pk}/change/", {"scope": "full"}).status_code,
        admin_client.post(f"{TOKENS}{token.pk}/delete/", {"post": "yes"}).status_code,
        admin_client.get(f"{ACCOUNTS}add/").status_code,
        admin_client.post(f"{ACCOUNTS}{token.account_id}/change/", {"name": "x"}).status_code,
    ]

    assert answers == [403, 403, 403, 403]
    assert Token.objects.get().scope == "read_only"
