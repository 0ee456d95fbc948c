"""`workflows token`: who may use the REST surfaces."""

from __future__ import annotations

from django.core.management import CommandError, CommandParser

from workflows_app.engine.accounts import create_token, revoke_token
from workflows_app.management import arguments
from workflows_app.management.accounts import add_account_argument, find_account
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options
from workflows_app.models import Account, Token

HELP = "create, list and revoke the tokens of an account"


def add_arguments(parser: CommandParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    create = actions.add_parser("create", help="print a new token's secret, this once")
    create.add_argument("name", help="what it is for")
    create.add_argument("--read-only", action="store_true", help="may look, and change nothing")
    revoke = actions.add_parser("revoke", help="refuse a token from now on")
    revoke.add_argument("id", type=arguments.row_id, help='as "token list" shows it')
    for action in (create, revoke, actions.add_parser("list", help="all tokens, without secrets")):
        add_account_argument(action)


def run(console: Console, options: Options) -> None:
    account = find_account(options["account"])
    match options["action"]:
        case "create":
            _create(console, account, options)
        case "revoke":
            _revoke(console, account, options["id"])
        case _:
            _list(console, account)


def _create(console: Console, account: Account, options: Options) -> None:
    longest = Token._meta.get_field("name").max_length
    if not 0 < len(options["name"]) <= (longest or 0):
        raise CommandError(f"a token's name is a text of 1 to {longest} characters")
    scope = Token.Scope.READ_ONLY if options["read_only"] else Token.Scope.FULL
    console.show(create_token(account, options["name"], scope))
    console.say("keep it: only its hash is stored, and it is not shown again")


def _revoke(console: Console, account: Account, token_id: int) -> None:
    token = account.tokens.filter(pk=token_id).first()
    if token is None:
        raise CommandError(
            f'account "{account.name}" has no token {token_id}; "workflows token list" shows them'
        )
    if token.revoked_at is not None:
        raise CommandError(f'token {token_id} "{token.name}" was revoked before')
    revoke_token(token)
    console.say(f'token {token_id} "{token.name}" is refused from now on')


def _list(console: Console, account: Account) -> None:
    for token in account.tokens.order_by("id"):
        state = "valid" if token.revoked_at is None else f"revoked {token.revoked_at:%Y-%m-%d}"
        console.show(
            f"{token.pk:>4}  {token.scope:<9}  {token.created_at:%Y-%m-%d}  {state:<18}  "
            f"{token.name}"
        )
