"""Numbers for steps, as the protocol has them: of a run each has one of its own (Upstash reference
3.3).

Deliveries that run beside one another know different parts of the list. So the number of a step
that two of them may come to plan follows from what both know: then the server notices that it is
planned twice. Where there is nothing beside, numbers are given out as the SDKs do: one by one, and
those of a parallel group in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count

from workflows_app.protocol.runs import StepKind
from workflows_app.serving.asking import Asked
from workflows_app.serving.step_list import Past, Plan

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
    groups = {plan.branch: plan for plan in reversed(past.announced)}
    goes_on = [each for each in news if each.branch in groups and each.branch]
    is_quiet = not past.plans and not goes_on
    alone = len(news) == 1 and not news[0].branch and is_quiet
    row = count(1 + max((each for each in past.numbers if each < _SCATTERED), default=0))
    numbered = []
    for each in news:
        size = 1 if alone else max(2, len(news))
        if each in goes_on:
            size = groups[each.branch].concurrent
            found = _in_branch(each, groups[each.branch], past)
        elif is_quiet and "." not in each.branch:
            found = next(row)
        else:
            found = _scattered(each.key, past)
        numbered.append(_numbered(each, found, size))
    return numbered


def _in_branch(asked: Asked, first: Plan, past: Past) -> int:
    """Steps of a branch are its group's size apart, so that branches do not meet."""
    before = sum(plan.branch == asked.branch for plan in past.announced)
    found = first.number + before * first.concurrent
    return _scattered(asked.key, past) if found in past.numbers else found


def _numbered(asked: Asked, found: int, concurrent: int) -> Numbered:
    return Numbered(
        number=found,
        key=asked.key,
        name=asked.name,
        branch=asked.branch,
        kind=asked.kind,
        concurrent=concurrent,
    )


def _scattered(key: str, past: Past) -> int:
    for salt in count():
        digest = sha256(f"{key}\n{salt}".encode()).digest()
        found = _SCATTERED + int.from_bytes(digest[:8]) % (_END - _SCATTERED)
        if found not in past.numbers:
            return found
    raise AssertionError("there are more numbers than steps")
