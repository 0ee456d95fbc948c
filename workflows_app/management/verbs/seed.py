"""`workflows seed`: runs that nobody has started, to look at the admin with and to measure it."""

from __future__ import annotations

import time

from django.core.management import CommandError, CommandParser

from workflows_app.conf import is_debug
from workflows_app.management import arguments
from workflows_app.management.console import Console
from workflows_app.management.seeding import plant
from workflows_app.management.verbs import Options
from workflows_app.models import Account

HELP = "store made-up runs in all states, to look at the admin with and to measure it"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--runs", type=arguments.row_id, default=500, help="how many; 500")
    parser.add_argument("--steps-per-run", type=arguments.count, default=10, help="on average; 10")
    parser.add_argument("--yes", action="store_true", help="also where DEBUG is off")


def run(console: Console, options: Options) -> None:
    if not is_debug() and not options["yes"]:
        raise CommandError(
            "DEBUG is off, so this may be a database that people rely on; made-up runs are stored "
            "there only with --yes"
        )
    started = time.monotonic()
    planted = plant(
        Account.objects.default(),
        options["runs"],
        options["steps_per_run"],
        lambda runs: console.say(f"{runs:,} runs …"),
    )
    console.show(
        f"stored {planted.runs:,} runs, {planted.live:,} of them live, with {planted.steps:,} "
        f"steps and {planted.dead_letters:,} dead letters, in {time.monotonic() - started:.0f} s"
    )
