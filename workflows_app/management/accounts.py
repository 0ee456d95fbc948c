"""The account that a verb is about."""

from __future__ import annotations

from django.core.management import CommandError, CommandParser

from workflows_app.models import Account


def add_account_argument(parser: CommandParser) -> None:
    parser.add_argument("--account", default="default", help='name of the account ("default")')


def find_account(name: str) -> Account:
    """Raises CommandError, naming those that exist."""
    account = Account.objects.filter(name=name).first()
    if account is None:
        names = ", ".join(Account.objects.order_by("name").values_list("name", flat=True)[:20])
        raise CommandError(
            f'there is no account "{name}" (there are: {names or "none; run manage.py migrate"})'
        )
    return account
