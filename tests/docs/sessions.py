"""Shell sessions in the documentation: lines after `$`, and what they print."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.docs.pages import Block

ANYTHING = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    text: str
    expected: str


def read_commands(block: Block) -> list[Command]:
    """A command goes on as long as its lines are indented; what follows is what it prints."""
    commands = re.split(r"^\$ ", block.text, flags=re.M)[1:]
    return [_read(command) for command in commands]


def _read(text: str) -> Command:
    first, *rest = text.splitlines()
    count = next((n for n, line in enumerate(rest) if not line.startswith(" ")), len(rest))
    return Command(text="\n".join([first, *rest[:count]]), expected="\n".join(rest[count:]).strip())


def run_command(command: Command, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", command.text],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def prints_as_expected(printed: str, expected: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.split(ANYTHING)))
    return re.fullmatch(pattern, printed, re.S) is not None
