"""`manage.py workflows <verb>`: run, look after and use the workflows of this project."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import Error as AnyDatabaseError

from workflows_app.errors import WorkflowsError
from workflows_app.management.console import Console
from workflows_app.management.verbs import (
    Verb,
    accounts,
    check,
    demo,
    dev,
    dlq,
    health,
    keys,
    prune,
    runs,
    seed,
    show,
    tail,
    tokens,
    trigger,
    worker,
)

VERBS: dict[str, Verb] = {
    "dev": dev,
    "demo": demo,
    "worker": worker,
    "trigger": trigger,
    "runs": runs,
    "show": show,
    "tail": tail,
    "dlq": dlq,
    "account": accounts,
    "token": tokens,
    "keys": keys,
    "check": check,
    "prune": prune,
    "health": health,
    "seed": seed,
}
SERVING = ("dev", "demo", "worker")
"""Verbs that stay, for which the project's settings had better be right."""
INTERRUPTED = 130


class VerbParser(CommandParser):
    """Answers a bad argument with one sentence, without all that the verb could have been given."""

    def error(self, message: str) -> NoReturn:
        if self.called_from_command_line:
            self.exit(2, f"{self.prog}: {message} (--help says more)\n")
        raise CommandError(message)


class Command(BaseCommand):
    help = "Run, look after and use the workflows of this project."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="verb", parser_class=VerbParser
        )
        for name, verb in VERBS.items():
            verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=verb.HELP))

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        try:
            if verb in SERVING:
                self.check()
            VERBS[verb].run(Console(self.stdout, self.stderr), options)
        except WorkflowsError as error:
            raise CommandError(error.message) from None
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except AnyDatabaseError as error:
            raise CommandError(
                f"the database refused: {_first_line(error)}; does it run, and is it migrated "
                '("manage.py migrate")?'
            ) from None
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def _first_line(error: AnyDatabaseError) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
