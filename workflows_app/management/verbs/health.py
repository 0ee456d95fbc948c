"""`workflows health`: whether work is taken up, as an exit status."""

from __future__ import annotations

from django.core.management import CommandError, CommandParser

from workflows_app.conf import get_settings
from workflows_app.management import arguments
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options
from workflows_app.protocol.durations import format_duration
from workflows_app.rest.health import lag_of_work

HELP = "end with 1 when due work has waited too long for a worker, else with 0"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--max-lag", type=arguments.duration, help="such as 60s; WORKFLOWS_READY_LAG"
    )


def run(console: Console, options: Options) -> None:
    limit = options["max_lag"]
    if limit is None:
        limit = get_settings().READY_LAG
    lag = lag_of_work(limit)
    if lag > limit:
        raise CommandError(
            f"the oldest due message has waited {format_duration(lag)} for a worker, more than "
            f"{format_duration(limit)}; are any running?"
        )
    console.show(
        f"the oldest due message has waited {format_duration(lag)}" if lag else "nothing is due"
    )
