"""What verbs show of runs: tables on a terminal; for programs lines with tabs, or with JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from workflows_app.engine import clock
from workflows_app.engine.states import State
from workflows_app.management.console import Console
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import format_duration

LONGEST_CELL, NARROWEST = 80, 9
_COLOURS = {
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.RUNNING: "cyan",
    State.QUEUED: "yellow",
    State.WAITING: "yellow",
    "step.finished": "green",
    "run.ended": "bold",
    "step.failed": "red",
    "attempt.failed": "red",
}
_LONG = ("workflow", "step", "error", "result")
"""Columns that give way where the terminal is narrow."""
Row = Sequence[str]


def show_rows(console: Console, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """The names of the columns, where they have any, are for people alone."""
    if not console.is_terminal:
        for row in rows:
            console.show("\t".join(map(_plain, row)))
        return
    # Not needed by those who only serve or work.
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = (
        Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        if columns
        else Table.grid(padding=(0, 2))
    )
    for column in columns:
        # Nothing is cut that one may want to copy.
        table.add_column(column, overflow="fold", no_wrap=column not in _LONG)
    for row in rows:
        table.add_row(*(Text(_short(cell), style=_COLOURS.get(cell, "")) for cell in row))
    _print(console, table)


def show_line(console: Console, row: Row) -> None:
    """One of many that come one after the other."""
    if not console.is_terminal:
        console.show("\t".join(map(_plain, row)))
        return
    from rich.text import Text

    parts = [(f"{_short(cell)}  ", _COLOURS.get(cell, "")) for cell in row]
    _print(console, Text.assemble(*parts))


def show_json(console: Console, value: Mapping[str, Any]) -> None:
    text = encode_json(value)
    if not text.isprintable():
        # JSON lets these stand as they are, and a terminal might obey them.
        text = "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
    console.show(text)


def _print(console: Console, shown: Any) -> None:
    from rich.console import Console as Terminal

    terminal = Terminal(highlight=False)
    with terminal.capture() as captured:
        terminal.print(shown)
    lines = (line.rstrip() for line in captured.get().splitlines())
    console.show("\n".join(filter(None, lines)))


def _plain(cell: str) -> str:
    """Whatever stands in it, it changes neither the lines nor the terminal."""
    return "".join(each if each.isprintable() else " " for each in cell)


def _short(cell: str) -> str:
    """Of a moment of today, the time will do."""
    plain = _plain(cell).removeprefix(f"{timezone.localtime(clock.now()):%Y-%m-%d} ")
    return plain if len(plain) <= LONGEST_CELL else f"{plain[: LONGEST_CELL - 1]}…"


def time_of(moment: datetime | None) -> str:
    """In the site's time zone."""
    return "" if moment is None else f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"


def length_of(delta: timedelta) -> str:
    """In milliseconds below a second, else in seconds."""
    if delta < timedelta(seconds=1):
        return f"{delta // timedelta(milliseconds=1)}ms"
    return format_duration(timedelta(seconds=round(delta.total_seconds())))
