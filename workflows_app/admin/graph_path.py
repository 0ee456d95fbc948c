"""The way that a run has taken through the graph of its version."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.admin.graph_drawing import Drawing, Mark, draw
from workflows_app.admin.graph_nodes import read_graph, walk
from workflows_app.engine import clock
from workflows_app.engine.in_flight import steps_in_flight
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.faults import LOST

MOST_NAMES = 1_000
"""Of steps of one run that are looked for in its graph."""

_NO_NODES = (Step.Kind.ROLLBACK, Step.Kind.PATCHED, Step.Kind.RACE)
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|\[dynamic\]")
_AFTER_NAME = re.compile(r"(@[0-9.]+)?(#[0-9]+)?$")


def graph_of_run(run: Run) -> Drawing | None:
    """None when its version is not known, or has no graph. In six queries at most."""
    version = run.version
    if version is None or version.graph is None:
        return None
    names = {node.name for node in walk(read_graph(version.graph)) if node.name}
    return draw(version.graph, _marks(run, names))


def _marks(run: Run, nodes: set[str]) -> dict[str, Mark]:
    done, failed, asleep = _recorded(run)
    now = asleep | set(_awaited(run)) if run.is_live else set()
    stopped_at = (run.error_info or {}).get("step")
    if isinstance(stopped_at, str) and not run.is_live:
        failed[stopped_at] += 1
    find = _Finder(nodes)
    times, failures = find.counted(done), find.counted(failed)
    marks = {name: _done(times[name]) for name in times}
    marks |= dict.fromkeys(failures, Mark(tone="failed", words=_("failed")))
    here = Mark(tone="now", words=_("where it is now"))
    return marks | dict.fromkeys(find.counted(Counter(now)), here)


def _done(times: int) -> Mark:
    words = ngettext("done", "done %(number)d times", times) % {"number": times}
    return Mark(tone="done", words=words, times=times)


def _recorded(run: Run) -> tuple[Counter[str], Counter[str], set[str]]:
    """How often steps ended well, and badly, by their names; and which sleep."""
    steps = Step.objects.filter(run=run).exclude(kind__in=_NO_NODES)
    lost = Q(error__startswith=LOST)
    counted = steps.values("name", "kind").annotate(
        times=Count("pk", filter=Q(error=None)),
        failures=Count("pk", filter=~Q(error=None) & ~lost),
        until=Max("ended_at"),
    )
    done, failed, asleep = Counter[str](), Counter[str](), set[str]()
    for row in counted.order_by("name")[:MOST_NAMES]:
        if row["kind"] == Step.Kind.SLEEP and row["until"] > (run.paused_at or clock.now()):
            asleep.add(row["name"])
        done[row["name"]] += row["times"]
        failed[row["name"]] += row["failures"]
    return +done, +failed, asleep


def _awaited(run: Run) -> Iterable[str]:
    """Names of steps that have begun, and not ended."""
    keys: set[str] = set()
    owed = list(Message.objects.filter(run=run).defer("request"))
    keys.update(message.key for message in owed)
    keys.update(step.key for step in steps_in_flight(owed).values())
    is_recorded = Exists(Step.objects.filter(run=run, key=OuterRef("key")))
    begun = (run.invocations, Attempt.objects.filter(run=run))
    for rows in begun:
        keys.update(rows.exclude(is_recorded).values_list("key", flat=True)[:MOST_NAMES])
    return (_AFTER_NAME.sub("", key) for key in keys if key)


class _Finder:
    """Finds the nodes that steps belong to: those of their names, else those whose computed names
    can be theirs.
    """

    def __init__(self, nodes: set[str]) -> None:
        self._nodes = nodes
        self._computed = [
            (node, parts) for node in sorted(nodes) if len(parts := _PLACEHOLDER.split(node)) > 1
        ]

    def counted(self, names: Counter[str]) -> Counter[str]:
        found = Counter[str]()
        for name, times in names.items():
            node = name if name in self._nodes else self._like(name)
            if node is not None:
                found[node] += times
        return found

    def _like(self, name: str) -> str | None:
        fitting = (node for node, parts in self._computed if _fits(name, parts))
        return next(fitting, None)


def _fits(name: str, parts: list[str]) -> bool:
    """Whether it has these parts in this order, and begins and ends with the outer ones."""
    first, *between, last = parts
    if not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in between:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return at <= end
