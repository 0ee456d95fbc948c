"""The table at the end: our number, the peer's number of the same run, the ratio, the target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.catalogue import (
    MEASURES,
    TARGETS,
    AtLeast,
    AtMost,
    Better,
    Figure,
    Storage,
    Target,
    TimesThePeer,
)
from bench.jobs import Figures

HEADINGS = ("measure", "on", "ours", "peer", "peer's", "ratio", "target", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one job gave."""

    contestant: str
    measure: str
    storage: Storage
    variant: str
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value of one figure, and who gave it where."""

    contestant: str
    storage: Storage
    variant: str
    value: float

    def label(self, beside: Storage) -> str:
        notes = [self.storage.value] if self.storage is not beside else []
        notes += [self.variant] if self.variant else []
        return f"{self.contestant} ({', '.join(notes)})" if notes else self.contestant


def table(results: Iterable[Result]) -> str:
    """All rows of what was measured, aligned."""
    rows = [HEADINGS, *_rows(list(results))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_aligned(row, widths) for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths)), *lines[1:]])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (2, 4, 5)
    cells = (
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _rows(results: list[Result]) -> Iterator[tuple[str, ...]]:
    for measure, figures in MEASURES.items():
        for figure in figures:
            entries = _best_of_each(
                [result for result in results if result.measure == measure], figure
            )
            for storage in _rows_on(entries):
                yield from _rows_of(measure, figure, storage, entries)


def _best_of_each(results: Iterable[Result], figure: Figure) -> list[Entry]:
    """One entry for each contestant on each storage: the best of its variants."""
    best: dict[tuple[str, Storage], Entry] = {}
    for result in results:
        if figure.key not in result.figures:
            continue
        entry = Entry(
            contestant=result.contestant,
            storage=result.storage,
            variant=result.variant,
            value=result.figures[figure.key],
        )
        rival = best.get((entry.contestant, entry.storage))
        if rival is None or _beats(entry, rival, figure):
            best[entry.contestant, entry.storage] = entry
    return list(best.values())


def _beats(entry: Entry, rival: Entry, figure: Figure) -> bool:
    if figure.better is Better.HIGHER:
        return entry.value > rival.value
    return abs(entry.value) < abs(rival.value)


def _rows_on(entries: list[Entry]) -> list[Storage]:
    """The storages that get rows: those we were measured on, or else those of the peers."""
    ours = {entry.storage for entry in entries if entry.contestant == "ours"}
    return [
        storage for storage in Storage if storage in (ours or {entry.storage for entry in entries})
    ]


def _rows_of(
    measure: str, figure: Figure, storage: Storage, entries: list[Entry]
) -> Iterator[tuple[str, ...]]:
    here = [entry for entry in entries if entry.storage.is_measured_beside(storage)]
    ours = next((entry.value for entry in entries if _is_ours(entry, storage)), None)
    peers = sorted(
        (entry for entry in here if entry.contestant != "ours"),
        key=lambda entry: (entry.storage is not storage, entry.contestant),
    )
    if ours is None:
        peers = [peer for peer in peers if peer.storage is storage]
    goal = TARGETS.get((measure, figure.key, storage))
    rivals: list[Entry | None] = [*peers] or [None]
    for index, peer in enumerate(rivals):
        yield (
            figure.title,
            storage.value,
            _shown(ours, figure),
            peer.label(storage) if peer else "",
            _shown(peer.value if peer else None, figure),
            _ratio(ours, peer, figure),
            _words(goal) if index == 0 else "",
            _verdict(goal, ours, peers, storage, figure) if index == 0 else "",
        )


def _is_ours(entry: Entry, storage: Storage) -> bool:
    return entry.contestant == "ours" and entry.storage is storage


def _shown(value: float | None, figure: Figure) -> str:
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    sign = "+" if figure.better is Better.NEARER_ZERO else ""
    return f"{value:{sign}.{digits}f} {figure.unit}"


def _ratio(ours: float | None, peer: Entry | None, figure: Figure) -> str:
    """How many times better we are; below 1 we are worse."""
    if not ours or peer is None or not peer.value or figure.better is Better.NEARER_ZERO:
        return "-"
    times = _times_better(ours, peer.value, figure)
    return f"{times:.1f}x" if times < 100 else f"{times:.0f}x"


def _times_better(ours: float, peer: float, figure: Figure) -> float:
    over, under = (ours, peer) if figure.better is Better.HIGHER else (peer, ours)
    return over / under if under else float("inf")


def _words(goal: Target | None) -> str:
    match goal:
        case TimesThePeer(peer=peer, factor=factor):
            return f">= {factor:g}x {peer}"
        case AtMost(value=value):
            return f"<= {value:g}"
        case AtLeast(value=value):
            return f">= {value:g}"
    return ""


def _verdict(
    goal: Target | None, ours: float | None, peers: list[Entry], storage: Storage, figure: Figure
) -> str:
    """ "ok" or "behind"; nothing where there is no target, or not both numbers."""
    if ours is None:
        return ""
    match goal:
        case AtMost(value=value):
            return "ok" if ours <= value else "behind"
        case AtLeast(value=value):
            return "ok" if ours >= value else "behind"
        case TimesThePeer(peer=name, factor=factor):
            rivals = [peer for peer in peers if (peer.contestant, peer.storage) == (name, storage)]
            times = [_times_better(ours, rival.value, figure) for rival in rivals]
            return ("ok" if min(times) >= factor else "behind") if times else ""
    return ""


def failures(broken: Mapping[str, str]) -> str:
    """What broke, and what each last said."""
    return "\n".join(f"broken: {name}\n      {told}" for name, told in broken.items())
