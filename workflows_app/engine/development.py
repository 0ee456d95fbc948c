"""The credentials of a development site: known to everyone where nobody else uses the database."""

from __future__ import annotations

from dataclasses import dataclass

from workflows_app.engine.accounts import create_token, find_token
from workflows_app.engine.database import joining
from workflows_app.models import Account, Token
from workflows_app.models.access import DEFAULT_ACCOUNT_ID, hash_token

# Upstash reference 1.9: what SDKs with QSTASH_DEV=true expect of a server on port 8080.
USER_ID = "defaultUser"
TOKEN = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0="  # noqa: S105
CURRENT_SIGNING_KEY = "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r"
NEXT_SIGNING_KEY = "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs"

TOKEN_NAME = "development"  # noqa: S105 - not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    account: Account
    token: str

    @property
    def are_known_to_everyone(self) -> bool:
        return self.account.user_id == USER_ID


def development_credentials() -> Credentials:
    """Those of the default account, which becomes the development account where it can.

    An account with tokens of its own is used by others: it stays as it is, and gets a new token
    each time. Signing keys that were rotated stay rotated.
    """
    with joining():
        account = Account.objects.select_for_update().get(pk=DEFAULT_ACCOUNT_ID)
        others = account.tokens.exclude(name=TOKEN_NAME)
        if account.user_id == USER_ID or not others.exists():
            _adopt(account)
            return Credentials(account=account, token=TOKEN)
        account.tokens.filter(name=TOKEN_NAME).delete()
        token = create_token(account, TOKEN_NAME, Token.Scope.FULL)
        return Credentials(account=account, token=token)


def _adopt(account: Account) -> None:
    if account.user_id != USER_ID:
        account.user_id = USER_ID
        account.current_signing_key = CURRENT_SIGNING_KEY
        account.next_signing_key = NEXT_SIGNING_KEY
        account.save(update_fields=["user_id", "current_signing_key", "next_signing_key"])
    if find_token(TOKEN) is None:
        Token.objects.filter(digest=hash_token(TOKEN)).delete()
        create_token(account, TOKEN_NAME, Token.Scope.FULL, TOKEN)
