"""`workflows prune`: forgets what ended long ago."""

from __future__ import annotations

from django.core.management import CommandParser

from workflows_app.conf import get_settings
from workflows_app.engine import retention
from workflows_app.management import arguments
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options
from workflows_app.management.wording import counted
from workflows_app.protocol.durations import format_duration

HELP = "delete runs and messages that ended long ago, with their steps, logs and dead letters"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--older-than", type=arguments.duration, help="such as 30d; WORKFLOWS_RETENTION"
    )
    parser.add_argument("--dry-run", action="store_true", help="only count them")


def run(console: Console, options: Options) -> None:
    older_than = options["older_than"]
    if older_than is None:
        older_than = get_settings().RETENTION
    if options["dry_run"]:
        runs, messages = retention.prunable(older_than), retention.prunable_messages(older_than)
        verb = "would delete"
    else:
        runs, messages = retention.prune(older_than), retention.prune_messages(older_than)
        verb = "deleted"
    what = f"{verb} {counted(runs, 'run')} and {counted(messages, 'message')}"
    if older_than is None:
        console.show(f"{what} that had a retention of their own; all others are kept for ever here")
    else:
        age = format_duration(older_than)
        console.show(f"{what} that ended more than {age} ago, or whose own retention is over")
