"""`workflows trigger`: starts a run from the command line."""

from __future__ import annotations

import time

from django.core.management import CommandError, CommandParser

from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.run_moves import find_run
from workflows_app.management import arguments
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options
from workflows_app.management.watching import RunWatch
from workflows_app.models import Account, Run, Step
from workflows_app.sdk.authoring import get_workflow

HELP = "start a run of a workflow, and print its id"

LOOK = 0.1
"""Seconds between looks at a run that is waited for."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", help="the workflow, as it is registered")
    parser.add_argument(
        "--body", type=arguments.json_body, help="JSON, @file, or - for what stdin holds"
    )
    parser.add_argument("--run-id", help="the run's id, if it is to be one of yours")
    parser.add_argument("--delay", type=arguments.duration, help="start so much later, as in 10m")
    parser.add_argument("--not-before", type=arguments.moment, help="ISO 8601 or unix seconds")
    parser.add_argument("--label", action="append", default=[], help="may be given several times")
    parser.add_argument("--retries", type=arguments.retries, help="of each step")
    parser.add_argument("--retry-delay", help='milliseconds, as in "pow(2, retried) * 1000"')
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=arguments.header,
        help='"Name: value" for the function; may be given several times',
    )
    parser.add_argument(
        "--wait", action="store_true", help="until it has ended; prints its result after its id"
    )


def run(console: Console, options: Options) -> None:
    started = get_workflow(options["name"]).trigger(
        options["body"],
        workflow_run_id=options["run_id"],
        delay=options["delay"],
        not_before=options["not_before"],
        labels=options["label"],
        retries=options["retries"],
        retry_delay=options["retry_delay"],
        headers=dict(options["header"]),
    )
    console.show(started.workflow_run_id)
    if started.deduplicated:
        console.say("a live run has this id already; nothing was started")
    if options["wait"]:
        _wait(console, find_run(Account.objects.default(), started.workflow_run_id))


def _wait(console: Console, run: Run) -> None:
    watch = RunWatch(run, lambda step: console.say(_step(step)))
    while not watch.look():
        time.sleep(LOOK)
    if (new := continuation_of(run)) is not None:
        console.say("it begins anew")
        _wait(console, new)
        return
    if run.status != Run.Status.SUCCEEDED:
        reason = (run.error_info or {}).get("message")
        raise CommandError(f"run {run.run_id} {run.status}" + (f": {reason}" if reason else ""))
    console.show(run.result or "null")


def _step(step: Step) -> str:
    return f'step "{step.name}" {"failed" if step.has_failed else "finished"}'
