"""`workflows tail`: what happens to runs, as it happens."""

from __future__ import annotations

import sys
import time

from django.core.management import CommandError, CommandParser

from workflows_app.engine.changes import Change, Kind
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.following import Follower
from workflows_app.engine.run_moves import find_run
from workflows_app.engine.scopes import Scope
from workflows_app.management.accounts import add_account_argument, find_account
from workflows_app.management.console import Console
from workflows_app.management.printing import show_json, show_line, time_of
from workflows_app.management.verbs import Options
from workflows_app.management.verbs.show import outcome
from workflows_app.models import Account, Run

HELP = "show what happens to a run until it has ended, or to many until Ctrl-C"

LOOK = 0.5
"""Seconds between looks."""
STATUS = {Run.Status.SUCCEEDED: 0, Run.Status.FAILED: 1, Run.Status.CANCELED: 3}
"""How the verb ends, by how the run has."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "run_id",
        nargs="?",
        help="is told from its beginning; the verb ends with it: with 0 if it succeeded, 1 if it "
        "failed, 3 if it was canceled",
    )
    parser.add_argument("--workflow", help="of which runs are told from now on")
    parser.add_argument(
        "--label", action="append", default=[], help="several times: with any of these"
    )
    parser.add_argument("--json", action="store_true", help="an object on each line")
    add_account_argument(parser)


def run(console: Console, options: Options) -> None:
    account = find_account(options["account"])
    if options["run_id"] is None:
        labels = tuple(options["label"])
        _follow(
            console,
            Scope(account=account, workflow=options["workflow"] or "", labels=labels),
            options,
        )
        return
    if options["workflow"] or options["label"]:
        raise CommandError("a run id names one run; leave --workflow and --label out")
    sys.exit(_tail(console, account, options))


def _tail(console: Console, account: Account, options: Options) -> int:
    followed: Run | None = find_run(account, options["run_id"])
    ended = None
    while followed is not None:
        ended = _follow(console, Scope(run=followed.pk), options)
        followed = None if ended is None else continuation_of(ended.run)
    if ended is None:
        raise CommandError(f"run {options['run_id']} is no longer there")
    return STATUS[Run.Status(ended.run.status)]


def _follow(console: Console, scope: Scope, options: Options) -> Change | None:
    """How a single run has ended; None if it was deleted."""
    follower = Follower(scope)
    while True:
        changes = follower.look()
        for change in changes:
            _show(console, change, options)
        if follower.is_over:
            return next((each for each in changes if each.kind is Kind.RUN_ENDED), None)
        if follower.is_all:
            time.sleep(LOOK)


def _show(console: Console, change: Change, options: Options) -> None:
    if options["json"]:
        show_json(console, change.body())
        return
    what = change.run.status if change.kind is Kind.RUN_ENDED else change.step
    row = (time_of(change.at), change.run.run_id, change.kind.value, what, outcome(change))
    show_line(console, row)
