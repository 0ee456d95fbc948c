"""`workflows demo`: the site under development, and one order fulfilled before one's eyes."""

from __future__ import annotations

import sys
from datetime import timedelta

from django.core.management import CommandError, CommandParser

from workflows_app.engine.run_moves import find_run
from workflows_app.management import site as sites
from workflows_app.management.console import Console
from workflows_app.management.preparing import admin_login
from workflows_app.management.site import Site, running_site
from workflows_app.management.verbs import Options
from workflows_app.management.watching import RunWatch
from workflows_app.models import Run, Step
from workflows_app.protocol.redaction import SENSITIVE
from workflows_app.sdk.authoring import Workflow, registered_workflows

HELP = "serve, work, and show one run of the demo's workflow step by step"

WORKFLOW = "order-fulfillment"
ORDER = {"userId": "ada", "items": [{"productId": "teapot", "quantity": 2}]}
LONGEST_RUN = 60.0
"""Seconds that `--once` waits for the run to end."""
LONGEST_TEXT = 100


def add_arguments(parser: CommandParser) -> None:
    sites.add_arguments(parser)
    parser.add_argument(
        "--once", action="store_true", help="end when the run has: with 0 if it succeeded, else 1"
    )


def run(console: Console, options: Options) -> None:
    workflow = registered_workflows().get(WORKFLOW)
    if workflow is None:
        raise CommandError(
            f'the demo runs the workflow "{WORKFLOW}" of the demo site, which is not registered '
            'here; in a project of your own use "workflows dev" and "workflows trigger"'
        )
    with running_site(console, options) as site:
        if site.wait_until_ready():
            _show(console, site, workflow, options)


def _show(console: Console, site: Site, workflow: Workflow, options: Options) -> None:
    started = workflow.trigger(body=ORDER)
    order = find_run(site.credentials.account, started.workflow_run_id)
    console.show(f"{WORKFLOW} {order.run_id}")
    watch = RunWatch(order, lambda step: console.show(_line(step)))
    try:
        ended = site.supervisor.keep(watch.look, LONGEST_RUN if options["once"] else None)
    except TimeoutError:
        raise CommandError(f"run {order.run_id} has not ended within {LONGEST_RUN:g} s") from None
    if not ended:
        return
    console.show(_end(order))
    console.show(f"admin {site.address.url}/admin/{_login()}")
    if not options["once"]:
        console.show("serving until Ctrl-C")
        site.serve()
    elif order.status != Run.Status.SUCCEEDED:
        sys.exit(1)


def _line(step: Step) -> str:
    outcome = step.error if step.has_failed else (SENSITIVE if step.sensitive else step.result)
    return f"  {step.name:<16} {_milliseconds(step.ended_at - step.started_at)}  {_short(outcome)}"


def _end(order: Run) -> str:
    assert order.ended_at is not None, "only for runs that have ended"  # noqa: S101
    took = _milliseconds(order.ended_at - order.created_at)
    outcome = order.result if order.error is None else order.error
    return f"  {order.status:<16} {took}  {_short(outcome)}"


def _milliseconds(length: timedelta) -> str:
    return f"{length / timedelta(milliseconds=1):7.1f} ms"


def _short(text: str | None) -> str:
    shown = text or "null"
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]}…"


def _login() -> str:
    login = admin_login()
    return "" if login is None else f"  login {login}"
