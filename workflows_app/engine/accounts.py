"""Accounts, tokens and signing keys."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import (
    columns,
    fetch_sql,
    is_postgresql,
    joining,
    read_row,
)
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.recent import fetch_recent
from workflows_app.models import Account, Token
from workflows_app.models.access import DEFAULT_ACCOUNT_ID, hash_token, mint_token
from workflows_app.protocol.signing import new_signing_key

# A row that brings its own number leaves PostgreSQL's sequence behind.
_COUNT_ON = """
    SELECT setval(pg_get_serial_sequence('workflows_app_account', 'id'), max(id))
    FROM workflows_app_account
"""


def ensure_default_account(using: str = "default", **_: Any) -> None:
    """After `migrate`: there is always an account that Python code triggers runs in."""
    if using != get_settings().DATABASE:
        return
    _default, is_new = Account.objects.using(using).get_or_create(
        pk=DEFAULT_ACCOUNT_ID, defaults={"name": "default"}
    )
    if is_new and is_postgresql():
        fetch_sql(_COUNT_ON, [])


def create_account(name: str, parallelism: int | None = None) -> Account | None:
    """None when there is one of this name."""
    account, is_new = Account.objects.get_or_create(
        name=name, defaults={"parallelism": parallelism}
    )
    return account if is_new else None


def cap_account(account: Account, parallelism: int | None) -> None:
    """Limit its deliveries at once; None ends the limit. What is under way goes on."""
    with joining():
        Account.objects.filter(pk=account.pk).update(parallelism=parallelism)
        get_dispatcher().ring()


_WITH_ACCOUNT = """
    SELECT {token}, {account} FROM workflows_app_token
    JOIN workflows_app_account ON workflows_app_account.id = account_id + 0
    WHERE digest = %s AND revoked_at IS NULL
"""


def find_token(secret: str) -> Token | None:
    """The token with this secret, with its account; one that was revoked elsewhere is live for
    another `recent.LIFETIME`. Looking up a hash leaks nothing about other hashes by its timing.
    Without the ORM, as every request begins with it.
    """
    sql = _WITH_ACCOUNT.format(token=columns(Token), account=columns(Account))
    rows = fetch_recent(sql, [hash_token(secret)])
    if not rows:
        return None
    own = len(Token._meta.concrete_fields)
    token = read_row(Token, rows[0][:own])
    token.account = read_row(Account, rows[0][own:])
    return token


def read_account(pk: int) -> Account:
    """As it is or was up to `recent.LIFETIME` ago."""
    rows = fetch_recent(f"SELECT {columns(Account)} FROM workflows_app_account WHERE id = %s", [pk])  # noqa: S608 - of constants
    assert rows, "its tokens and runs go with it"  # noqa: S101
    return read_row(Account, rows[0])


def create_token(account: Account, name: str, scope: Token.Scope, secret: str = "") -> str:
    """The new token's text, which cannot be had again later. A given `secret` is taken as it is."""
    text = secret or mint_token(account.user_id)
    Token.objects.create(account=account, name=name, scope=scope, digest=hash_token(text))
    return text


def revoke_token(token: Token) -> None:
    token.revoke(clock.now())


def rotate_signing_keys(account: Account) -> Account:
    """The next key becomes the current one. Receivers that know both miss nothing."""
    with transaction.atomic(using=get_settings().DATABASE):
        fresh = Account.objects.select_for_update().get(pk=account.pk)
        fresh.current_signing_key = fresh.next_signing_key
        fresh.next_signing_key = new_signing_key()
        fresh.save(update_fields=["current_signing_key", "next_signing_key"])
    return fresh
