"""What an endpoint remembers, for the tests to read below /seen/."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import Any

RUN_ID = "upstash-workflow-runid"
THIRD_PARTY = os.environ["THIRD_PARTY"]

_hits: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
_notes: defaultdict[str, list[Any]] = defaultdict(list)
_counts: Counter[tuple[str, str]] = Counter()


def hit(headers: dict[str, str]) -> None:
    """Headers by lower-case name."""
    _hits[headers.get(RUN_ID, "none")].append(headers)


def note(run_id: str, value: Any) -> None:
    _notes[run_id].append(value)


def seen(run_id: str) -> dict[str, list[Any]]:
    return {"hits": _hits[run_id], "notes": _notes[run_id]}


def earlier(run_id: str, name: str) -> int:
    """How often this was asked before."""
    _counts[run_id, name] += 1
    return _counts[run_id, name] - 1
