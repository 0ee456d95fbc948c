"""What ends a test while the engine is at work."""

from __future__ import annotations


class Verdict(BaseException):
    """A sentence that fails the test. It is no `Exception`, lest the engine take it for the failure
    of a run.
    """


class Unanswered(Verdict):
    """A request was made that no script answers."""


class NotDeterministic(Verdict):
    """A workflow function asked for other steps when it was replayed."""
