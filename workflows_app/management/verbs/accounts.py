"""`workflows account`: who owns runs, tokens and keys, and how much of the server they may use."""

from __future__ import annotations

from django.core.management import CommandError, CommandParser

from workflows_app.engine.accounts import cap_account, create_account
from workflows_app.management import arguments
from workflows_app.management.accounts import find_account
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options
from workflows_app.models import Account

HELP = "create, list and cap accounts"


def add_arguments(parser: CommandParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    create = actions.add_parser("create", help="print the id of a new account")
    create.add_argument("name", help="what other verbs call it by --account")
    create.add_argument(
        "--parallelism", type=arguments.cap, metavar="N", help="the most deliveries at once"
    )
    cap = actions.add_parser("cap", help="limit the deliveries of an account at once")
    cap.add_argument("name")
    cap.add_argument("parallelism", type=arguments.cap, help='how many; "none" for no limit')
    actions.add_parser("list", help="all accounts, with their ids and caps")


def run(console: Console, options: Options) -> None:
    match options["action"]:
        case "create":
            _create(console, options["name"], options["parallelism"])
        case "cap":
            _cap(console, find_account(options["name"]), options["parallelism"])
        case _:
            _list(console)


def _create(console: Console, name: str, parallelism: int | None) -> None:
    longest = Account._meta.get_field("name").max_length
    if not 0 < len(name) <= (longest or 0) or not name.isprintable():
        raise CommandError(f"an account's name is a text of 1 to {longest} printable characters")
    account = create_account(name, parallelism)
    if account is None:
        raise CommandError(f'there is an account "{name}" already')
    console.show(account.public_id.hex)
    console.say(f'"workflows token create ... --account {name}" lets somebody in')


def _cap(console: Console, account: Account, parallelism: int | None) -> None:
    cap_account(account, parallelism)
    limit = "as many deliveries" if parallelism is None else f"at most {parallelism} deliveries"
    rest = " as there is room for" if parallelism is None else ""
    console.say(f'account "{account.name}" has {limit} at once{rest} from now on')


def _list(console: Console) -> None:
    for account in Account.objects.order_by("id"):
        cap = "no cap" if account.parallelism is None else f"cap {account.parallelism}"
        console.show(
            f"{account.public_id.hex}  {account.created_at:%Y-%m-%d}  {cap:<14}  {account.name}"
        )
