"""`workflows keys`: what deliveries of an account are signed with."""

from __future__ import annotations

from django.core.management import CommandParser

from workflows_app.engine.accounts import rotate_signing_keys
from workflows_app.management.accounts import add_account_argument, find_account
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options

HELP = "show and rotate the signing keys of an account"


def add_arguments(parser: CommandParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    show = actions.add_parser("show", help="the current and the next key, as receivers need them")
    rotate = actions.add_parser("rotate", help="make the next key the current one")
    for action in (show, rotate):
        add_account_argument(action)


def run(console: Console, options: Options) -> None:
    account = find_account(options["account"])
    if options["action"] == "rotate":
        account = rotate_signing_keys(account)
        console.say("deliveries are signed with the former next key; give receivers both of these")
    current_key, next_key = account.signing_keys
    console.show(f"QSTASH_CURRENT_SIGNING_KEY={current_key}")
    console.show(f"QSTASH_NEXT_SIGNING_KEY={next_key}")
