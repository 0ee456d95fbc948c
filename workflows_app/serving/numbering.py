"""Numbers for steps, as the protocol has them: of a run each has one of its own (Upstash reference
3.3).

Deliveries that run beside one another know different parts of the list. So the number of a step
that two of them may come to plan follows from what both know: then the server notices that it is
planned twice. Where there is nothing beside, numbers are given out as the SDKs do: one by one, and
those of a parallel group in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count

from workflows_app.protocol.runs import StepKind
from workflows_app.serving.asking import Asked
from workflows_app.serving.step_list import Past

_SCATTERED = 500_000_000
"""From here on stand numbers that follow from a step's key."""
_END = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A step that this delivery works on, with its place in the list."""

    number: int
    key: str
    name: str
    branch: str
    kind: StepKind
    concurrent: int


def number(news: Sequence[Asked], past: Past) -> list[Numbered]:
    """Only the next step of the function itself can be alone; then `concurrent` is 1."""
    alone = len(news) == 1 and not news[0].branch and not past.plans
    size = 1 if alone else max(2, len(news))
    row = count(1 + max((each for each in past.numbers if each < _SCATTERED), default=0))
    return [_numbered(each, past, size, row) for each in news]


def _numbered(asked: Asked, past: Past, size: int, row: Iterator[int]) -> Numbered:
    before = [plan for plan in past.announced if plan.branch == asked.branch]
    if asked.branch and before:
        # Steps of a branch are a group's size apart, so branches do not meet.
        size = before[0].concurrent
        found = before[0].number + len(before) * size
        found = _scattered(asked.key, past) if found in past.numbers else found
    elif past.plans or "." in asked.branch:
        found = _scattered(asked.key, past)
    else:
        found = next(row)
    return Numbered(
        number=found,
        key=asked.key,
        name=asked.name,
        branch=asked.branch,
        kind=asked.kind,
        concurrent=size,
    )


def _scattered(key: str, past: Past) -> int:
    for salt in count():
        digest = sha256(f"{key}\n{salt}".encode()).digest()
        found = _SCATTERED + int.from_bytes(digest[:8]) % (_END - _SCATTERED)
        if found not in past.numbers:
            return found
    raise AssertionError("there are more numbers than steps")
