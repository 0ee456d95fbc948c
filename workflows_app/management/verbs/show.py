"""`workflows show`: one run, with its steps and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.management import CommandParser

from workflows_app.engine import clock
from workflows_app.engine.changes import Change, Kind
from workflows_app.engine.following import Follower
from workflows_app.engine.run_moves import find_run
from workflows_app.engine.scopes import Scope
from workflows_app.engine.states import State, state_of
from workflows_app.management.accounts import add_account_argument, find_account
from workflows_app.management.console import Console
from workflows_app.management.printing import length_of, show_json, show_rows, time_of
from workflows_app.management.verbs import Options
from workflows_app.management.verbs.runs import described, error_of
from workflows_app.models import Run
from workflows_app.protocol.redaction import redactor_of

HELP = "show a run: its steps with their results, and what went wrong"

COLUMNS = ("what", "step", "started", "took", "attempt", "result")
_SHOWN = (
    *(Kind.STEP_FINISHED, Kind.STEP_FAILED, Kind.STEP_CANCELED, Kind.ATTEMPT_FAILED),
    *(Kind.STEP_SLEEPING, Kind.STEP_WAITING),
)
_BINARY = "(binary)"


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("run_id", help="of several runs with this id, the live or newest is shown")
    parser.add_argument(
        "--json", action="store_true", help="one object, with the events of the run"
    )
    add_account_argument(parser)


def run(console: Console, options: Options) -> None:
    found = find_run(find_account(options["account"]), options["run_id"])
    state, changes = state_of(found), list(_story(found))
    if options["json"]:
        events = [change.body() for change in changes]
        payload = {"payload": _payload(found)}
        show_json(console, {**described(found, state), **payload, "events": events})
        return
    show_rows(console, (), _head(found, state, changes))
    show_rows(console, COLUMNS, [_row(change) for change in changes if change.kind in _SHOWN])


def _story(run: Run) -> Iterator[Change]:
    follower = Follower(Scope(run=run.pk))
    yield from follower.look()
    while not (follower.is_all or follower.is_over):
        yield from follower.look()


def _head(run: Run, state: State, changes: list[Change]) -> list[tuple[str, str]]:
    error, results = error_of(run), [each.result for each in changes if each.kind is Kind.RUN_ENDED]
    facts = [
        ("run", run.run_id),
        ("state", state.value),
        ("workflow", run.workflow or run.url),
        ("started", time_of(run.created_at)),
        ("ended", time_of(run.ended_at)),
        ("took", length_of((run.ended_at or clock.now()) - run.created_at)),
        ("labels", ",".join(run.label_list)),
        ("payload", _payload(run)),
        ("result", (results[0] if results else "") or ""),
        ("error", f"{error['type']}: {error['message']}" if error else ""),
        ("at step", error.get("step", "") if error else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _payload(run: Run) -> str:
    content = bytes(run.payload)
    hidden = redactor_of(run.redaction).content(content)
    if hidden is not None:
        return hidden
    try:
        return content.decode()
    except UnicodeDecodeError:
        return _BINARY


def _row(change: Change) -> tuple[str, ...]:
    return (
        change.kind.value,
        change.step or "(the function)",
        time_of(change.began_at or change.at),
        "" if change.began_at is None else length_of(change.at - change.began_at),
        str(change.attempt or ""),
        outcome(change),
    )


def outcome(change: Change) -> str:
    """What came of it, or what it waits for."""
    if change.error is not None:
        again = f"; again at {time_of(change.until)}" if change.until else ""
        return f"{change.error.get('type')}: {change.error.get('message')}{again}"
    if change.kind in (Kind.STEP_SLEEPING, Kind.STEP_WAITING):
        event = f"for {change.event_id} " if change.event_id else ""
        return f"{event}until {time_of(change.until)}"
    if change.result_size is not None:
        return f"({change.result_size} characters)"
    return change.result or ""
