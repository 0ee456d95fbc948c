"""`workflows dlq`: runs that have failed, in groups; and what is to be done with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from django.core.management import CommandError, CommandParser

from workflows_app.engine import dead_letters, restarting
from workflows_app.engine.dead_letters import find_dead_letter
from workflows_app.errors import WorkflowsError
from workflows_app.management import arguments
from workflows_app.management.accounts import add_account_argument, find_account
from workflows_app.management.console import Console
from workflows_app.management.printing import show_json, show_rows, time_of
from workflows_app.management.verbs import Options
from workflows_app.management.verbs.runs import error_of
from workflows_app.management.wording import counted
from workflows_app.models import Account, DeadLetter
from workflows_app.models.dead_letters import DeadLetterQuerySet

HELP = "show the runs that have failed, by what went wrong; resume, restart or delete them"

GROUP_COLUMNS = ("runs", "workflow", "error", "step", "first", "last")
COLUMNS = ("entry", "run", "workflow", "failed", "step", "error")
_LARGE = ("callback_response", "run__payload", "run__headers", "run__result")


def _resume(letter: DeadLetter) -> None:
    dead_letters.resume(letter)


def _restart(letter: DeadLetter) -> None:
    restarting.restart(letter.run)


def _delete(letter: DeadLetter) -> None:
    dead_letters.delete(DeadLetter.objects.filter(pk=letter.pk))


Deed = Callable[[DeadLetter], None]
DEEDS: dict[str, tuple[Deed, str, str]] = {
    "resume": (_resume, "resumed", "start runs that go on where the failed ones stopped"),
    "restart": (_restart, "restarted", "have runs begin again under their ids"),
    "delete": (_delete, "deleted", "delete entries; their runs stay to be looked at"),
}


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="an object on each line")
    add_account_argument(parser)
    actions = parser.add_subparsers(dest="action", metavar="action")
    listing = actions.add_parser("list", help="single entries, the newest first")
    listing.add_argument("--limit", type=arguments.count, default=20, help="at most (20)")
    # A second default would hide what was said before the action.
    listing.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="an object on each line"
    )
    _add_filters(listing)
    for name, (_, _, meaning) in DEEDS.items():
        deed = actions.add_parser(name, help=meaning)
        _add_filters(deed)
        deed.add_argument("--all", action="store_true", help="all entries of the account")
        deed.add_argument("--dry-run", action="store_true", help="only show which they are")
        deed.add_argument("--yes", action="store_true", help="do not ask")


def _add_filters(parser: CommandParser) -> None:
    parser.add_argument("entry", nargs="*", help="ids of entries")
    parser.add_argument("--workflow", help="the name of theirs")
    parser.add_argument("--error", help="the type of what went wrong, as ConnectionError")
    parser.add_argument("--step", help="the name of the step that failed")
    parser.add_argument("--account", default=argparse.SUPPRESS, help="name of the account")


def run(console: Console, options: Options) -> None:
    account = find_account(options["account"])
    match options["action"]:
        case None:
            _show_groups(console, DeadLetter.objects.of(account), options)
        case "list":
            _list(console, _chosen(account, options), options)
        case name:
            _act(console, name, account, options)


def _chosen(account: Account, options: Options) -> DeadLetterQuerySet:
    """Raises DeadLetterNotFound."""
    letters = DeadLetter.objects.of(account)
    if options["entry"]:
        named = [find_dead_letter(account, entry).pk for entry in options["entry"]]
        letters = letters.filter(pk__in=named)
    columns = {"workflow": "workflow", "error": "error_type", "step": "step"}
    asked = {column: options[name] for name, column in columns.items() if options[name] is not None}
    return letters.filter(**asked)


def _show_groups(console: Console, letters: DeadLetterQuerySet, options: Options) -> None:
    groups = list(letters.by_failure())
    ends = {group[end] for group in groups for end in ("first", "last")}
    failed_at = dict(DeadLetter.objects.filter(pk__in=ends).values_list("pk", "created_at"))
    if options["json"]:
        for group in groups:
            moments = {end: failed_at[group[end]].isoformat() for end in ("first", "last")}
            show_json(console, {**group, **moments})
        return
    rows = [
        (
            str(group["number"]),
            group["workflow"],
            group["error_type"],
            group["step"],
            time_of(failed_at[group["first"]]),
            time_of(failed_at[group["last"]]),
        )
        for group in groups
    ]
    show_rows(console, GROUP_COLUMNS, rows)
    if not rows:
        console.say("no run has failed that nobody has dealt with")


def _list(console: Console, letters: DeadLetterQuerySet, options: Options) -> None:
    shown = letters.select_related("run").defer(*_LARGE).order_by("-pk")[: options["limit"]]
    for_people = []
    for letter in shown:
        error = error_of(letter.run) or {}
        if options["json"]:
            said = {"entry": letter.public_id, "runId": letter.run.run_id}
            more = {"failedAt": letter.created_at.isoformat(), "step": letter.step, "error": error}
            show_json(console, {**said, "workflow": letter.workflow, **more})
            continue
        message = f"{error.get('type', '')}: {error.get('message', '')}"
        at = (letter.workflow or letter.run.url, time_of(letter.created_at), letter.step)
        for_people.append((letter.public_id, letter.run.run_id, *at, message))
    if not options["json"]:
        show_rows(console, COLUMNS, for_people)


def _act(console: Console, name: str, account: Account, options: Options) -> None:
    deed, done, _ = DEEDS[name]
    if not any(options[each] for each in ("all", "entry", "workflow", "error", "step")):
        raise CommandError("say which entries: by id, --workflow, --error, --step, or --all")
    letters = _chosen(account, options)
    pks = list(letters.order_by("pk").values_list("pk", flat=True))
    what = counted(len(pks), "failed run")
    if options["dry_run"]:
        _show_groups(console, letters, {"json": False})
        console.say(f"{what} would be {done}")
        return
    if pks and not options["yes"]:
        _show_groups(console, letters, {"json": False})
        _make_sure(console, f"{name} {what}?")
    refused = _do(console, deed, pks)
    console.show(f"{counted(len(pks) - refused, 'failed run')} {done}")
    if refused:
        raise CommandError(f"{counted(refused, 'failed run')} not {done}; why stands above")


def _make_sure(console: Console, question: str) -> None:
    if not console.is_terminal:
        raise CommandError(f"{question} Say so with --yes, or look with --dry-run")
    if not console.ask(question):
        raise CommandError("nothing was done")


def _do(console: Console, deed: Deed, pks: list[int]) -> int:
    """How many were refused, among them those that somebody else has dealt with meanwhile."""
    refused = 0
    for pk in pks:
        letter = DeadLetter.objects.select_related("run__account", "account").filter(pk=pk).first()
        try:
            if letter is not None:
                deed(letter)
                continue
            console.say("an entry is no longer there")
        except WorkflowsError as error:
            console.say(error.message)
        refused += 1
    return refused
