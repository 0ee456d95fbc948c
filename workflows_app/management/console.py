"""Where a verb writes: its answer for programs, and beside it what is for people."""

from __future__ import annotations

import sys

from django.core.management.base import OutputWrapper


class Console:
    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper) -> None:
        self._stdout = stdout
        self._stderr = stderr

    def show(self, line: str) -> None:
        """A line of the answer, on stdout, at once."""
        self._stdout.write(line)
        self._stdout.flush()

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the answer as it comes."""
        return bool(self._stdout.isatty())

    def ask(self, question: str) -> bool:
        """Whether the person agrees."""
        self._stderr.write(f"{question} [y/N] ", style_func=str, ending="")
        self._stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def say(self, line: str) -> None:
        """A remark, on stderr."""
        self._stderr.write(line, style_func=str)
        self._stderr.flush()
