"""`workflows runs`: which runs there are, and what they are doing."""

from __future__ import annotations

from django.core.management import CommandParser
from django.db.models import QuerySet

from workflows_app.engine import clock
from workflows_app.engine.states import State, in_state, states_of
from workflows_app.management import arguments
from workflows_app.management.accounts import add_account_argument, find_account
from workflows_app.management.console import Console
from workflows_app.management.printing import length_of, show_json, show_rows, time_of
from workflows_app.management.verbs import Options
from workflows_app.models import Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.hiding import hidden_error
from workflows_app.protocol.redaction import redactor_of

HELP = "list runs, the newest first"

LIVE = "live"
COLUMNS = ("state", "run", "workflow", "started", "took", "labels", "error")


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--state", choices=[LIVE, *(state.value for state in State)], help="what they are doing"
    )
    parser.add_argument("--workflow", help="the name of theirs")
    parser.add_argument(
        "--label", action="append", default=[], help="several times: with any of these"
    )
    parser.add_argument("--limit", type=arguments.count, default=20, help="how many at most (20)")
    parser.add_argument("--json", action="store_true", help="an object on each line")
    add_account_argument(parser)


def run(console: Console, options: Options) -> None:
    found = Run.objects.of(find_account(options["account"]))
    if options["workflow"] is not None:
        found = found.filter(workflow=options["workflow"])
    if options["label"]:
        found = found.labelled(options["label"])
    shown = _of_state(found, options["state"]).defer("payload", "headers", "result")
    runs = list(shown.order_by("-pk")[: options["limit"]])
    states = states_of(runs)
    if options["json"]:
        for each in runs:
            show_json(console, described(each, states[each.pk]))
        return
    show_rows(console, COLUMNS, [_row(each, states[each.pk]) for each in runs])
    if not runs:
        console.say("no run is like that")


def _of_state(runs: QuerySet[Run], state: str | None) -> QuerySet[Run]:
    if state is None:
        return runs
    if state == LIVE:
        return runs.filter(status=Run.Status.RUNNING)
    return in_state(runs, State(state))


def described(run: Run, state: State) -> dict[str, object]:
    """As JSON; without what is to be hidden."""
    return {
        "runId": run.run_id,
        "state": state.value,
        "workflow": run.workflow or run.url,
        "createdAt": run.created_at.isoformat(),
        "endedAt": run.ended_at and run.ended_at.isoformat(),
        "labels": run.label_list,
        "error": error_of(run),
    }


def error_of(run: Run) -> dict[str, str] | None:
    """Without its stack."""
    text = hidden_error(run.error, redactor_of(run.redaction))
    error = None if text is None else decode_json(text)
    return error and {
        name: str(error[name]) for name in ("type", "message", "step") if name in error
    }


def _row(run: Run, state: State) -> tuple[str, ...]:
    error = error_of(run)
    return (
        state.value,
        run.run_id,
        run.workflow or run.url,
        time_of(run.created_at),
        length_of((run.ended_at or clock.now()) - run.created_at),
        ",".join(run.label_list),
        "" if error is None else f"{error['type']}: {error['message']}",
    )
