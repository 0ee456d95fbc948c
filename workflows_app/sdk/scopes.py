"""Where in a workflow function a step is asked for, and what that makes its key."""

from __future__ import annotations

import re
from datetime import datetime

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import UNDO, StepRecord
from workflows_app.protocol.texts import check_storable

MAX_NAME = 256
MARK = "patched:"
"""What the keys of marks begin with, and no step's name."""
_ENDS_LIKE_A_BRANCH = re.compile(r"@[\d.]+$")


class Scope:
    """The function itself (path "") or one parallel branch of it; its steps follow one another.

    A scope that only looks `replays` what is recorded and goes no further. One that `has_lost` a
    race asks for nothing more.
    """

    __slots__ = (
        "asked",
        "below",
        "branches",
        "executed",
        "executed_below",
        "expected",
        "has_executed",
        "has_lost",
        "last_end",
        "occurrences",
        "parent",
        "path",
        "position",
        "replays",
        "waits",
    )

    def __init__(self, parent: Scope | None, path: str, expected: list[StepRecord]) -> None:
        self.parent = parent
        self.path = path
        self.expected = expected
        self.position = 0
        self.branches = 0
        self.asked: set[str] = set()
        self.occurrences: dict[str, int] = {}
        self.waits = False
        self.executed: int = parent.executed if parent else 0
        self.executed_below = 0
        self.has_executed = False
        self.below: dict[str, Scope] = {}
        self.replays: bool = parent.replays if parent else False
        self.has_lost = False
        self.last_end: datetime | None = None

    def take_next(self) -> StepRecord:
        """The record that is expected next; its step has been asked for."""
        record = self.expected[self.position]
        self.position += 1
        self.last_end = _later(self.last_end, record.ended_at)
        return record

    @property
    def is_out(self) -> bool:
        """Whether it, or a branch that it is part of, has lost a race."""
        return self.has_lost or (self.parent is not None and self.parent.is_out)

    @property
    def ended_at(self) -> datetime | None:
        """When the last recorded step that it and its branches asked for ended."""
        end = self.last_end
        for branch in self.below.values():
            if not branch.has_lost:
                end = _later(end, branch.ended_at)
        return end

    def count_execution(self) -> None:
        self.executed += 1
        self.has_executed = True
        above = self.parent
        while above is not None:
            above.executed_below += 1
            above.has_executed = True
            above = above.parent

    def next_key(self, name: str) -> str:
        """`name`, in branch 2.1 `name@2.1`, the second time `name#2`."""
        first = f"{name}@{self.path}" if self.path else name
        occurrence = self.occurrences.get(first, 0) + 1
        key = first if occurrence == 1 else f"{first}#{occurrence}"
        while key in self.asked:
            occurrence += 1
            key = f"{first}#{occurrence}"
        self.occurrences[first] = occurrence
        self.asked.add(key)
        return key


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def check_name(name: str) -> None:
    """Raises StepMisuse for what cannot name a step."""
    if not name or len(name) > MAX_NAME:
        raise StepMisuse(f"a step's name is a text of 1 to {MAX_NAME} characters, not {name!r:.80}")
    if name.startswith(MARK):
        raise StepMisuse(
            f"a step's name must not begin with {MARK!r}, as {name!r} does: that is how "
            "context.patched marks the journal"
        )
    if _ENDS_LIKE_A_BRANCH.search(name):
        raise StepMisuse(
            f'a step\'s name must not end like "@2", as {name!r} does: that marks branches'
        )
    if name.endswith(UNDO):
        raise StepMisuse(
            f'a step\'s name must not end in "{UNDO}", as {name!r} does: that marks what is undone'
        )
    check_storable("a step's name", name)
