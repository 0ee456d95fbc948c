"""The verbs of `manage.py workflows`, one module each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.core.management import CommandParser

from workflows_app.management.console import Console

Options = Mapping[str, Any]


class Verb(Protocol):
    """What each module of this package offers."""

    HELP: str

    def add_arguments(self, parser: CommandParser) -> None: ...

    def run(self, console: Console, options: Options) -> None:
        """Raises CommandError, WorkflowsError or an error of the database, each with a sentence."""
