"""Fixtures of the tests of `manage.py workflows`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.shells import Define, Shell, define, registry, shell

__all__ = ["Define", "Shell", "define", "registry", "shell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a verb has written; `refusal` is its error, if it ended with one."""

    stdout: list[str]
    stderr: list[str]
    refusal: str | None = None


Verb = Callable[..., Said]


@pytest.fixture
def workflows() -> Verb:
    """`workflows("token", "list")` is `manage.py workflows token list`."""

    def workflows(*arguments: str) -> Said:
        stdout, stderr, refusal = StringIO(), StringIO(), None
        try:
            call_command("workflows", *arguments, stdout=stdout, stderr=stderr)
        except CommandError as error:
            refusal = str(error)
        return Said(
            stdout=stdout.getvalue().splitlines(),
            stderr=stderr.getvalue().splitlines(),
            refusal=refusal,
        )

    return workflows
