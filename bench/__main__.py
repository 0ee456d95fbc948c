"""`python -m bench`: measure, then print the table. See README.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import NoReturn

from bench import machine, report
from bench.catalogue import MEASURES, Storage
from bench.databases import missing
from bench.jobs import Job
from bench.plan import (
    FULL,
    OURS,
    OURS_CONSOLE,
    OURS_DIALECT,
    OURS_HTTP,
    PEERS,
    QUICK,
    Contestant,
    Selection,
)
from bench.report import Result
from bench.runner import JobFailed, run

FAMILIES = (Storage.SQLITE_FULL.family, Storage.POSTGRES.family)


def main() -> int:
    """The exit status: 0, or 1 when something broke. Never a matter of how fast anything was."""
    signal.signal(signal.SIGTERM, _end)
    options = _options()
    selection = _selection(options)
    _say("\n".join(machine.describe()))
    results: list[Result] = []
    broken: dict[str, str] = {}
    started = time.monotonic()
    left_out = _left_out(selection)
    for contestant, job in selection.jobs():
        if contestant.name in left_out or job.storage in left_out:
            continue
        _do(contestant, job, results, broken)
    _say(f"\n{report.table(results)}\n")
    for name, reason in left_out.items():
        _say(f"left out: {name}: {reason}")
    if broken:
        _say(report.failures(broken))
    _say(f"{time.monotonic() - started:.0f} s in all")
    return 1 if broken else 0


def _do(contestant: Contestant, job: Job, results: list[Result], broken: dict[str, str]) -> None:
    name = " ".join(filter(None, (contestant.name, job.measure, job.storage.value, job.variant)))
    started = time.monotonic()
    try:
        figures = run(contestant, job)
    except (JobFailed, ValueError) as error:
        broken[name] = str(error)
        told = "BROKEN"
    else:
        results.append(
            Result(
                contestant=contestant.name,
                measure=job.measure,
                storage=job.storage,
                variant=job.variant,
                figures=figures,
            )
        )
        told = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
    _say(f"{time.monotonic() - started:5.1f} s  {name}: {told}")


def _left_out(selection: Selection) -> dict[str, str]:
    """Contestants and storages that this machine does not have, with the reason."""
    reasons = {
        contestant.name: f"{contestant.package} is not installed"
        for contestant in selection.contestants
        if find_spec(contestant.package) is None
    }
    for storage in {job.storage for _, job in selection.jobs()}:
        if reason := missing(storage):
            reasons[storage.value] = reason
    return reasons


def _selection(options: argparse.Namespace) -> Selection:
    ours = () if options.without_ours else (OURS, OURS_HTTP, OURS_DIALECT, OURS_CONSOLE)
    return Selection(
        measures=tuple(name for name in MEASURES if name in options.only),
        contestants=ours + tuple(peer for peer in PEERS if peer.name in options.peers),
        families=frozenset(options.database),
        sizes=QUICK if options.quick else FULL,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = tuple(peer.name for peer in PEERS)
    parser.add_argument("--only", type=_some_of(tuple(MEASURES)), default=tuple(MEASURES))
    parser.add_argument("--peers", type=_some_of((*names, "none")), default=names)
    parser.add_argument("--database", type=_some_of(FAMILIES), default=FAMILIES)
    parser.add_argument("--quick", action="store_true", help="about two minutes; rough numbers")
    parser.add_argument("--without-ours", action="store_true", help="measure the peers alone")
    return parser.parse_args()


def _some_of(names: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        asked = tuple(text.split(","))
        if unknown := set(asked) - set(names):
            raise argparse.ArgumentTypeError(
                f"{', '.join(sorted(unknown))}: choose some of {','.join(names)}"
            )
        return asked

    return read


def _end(*_: object) -> NoReturn:
    """Turn SIGTERM into an exception, so that every process and database of ours is cleaned up."""
    raise SystemExit(143)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
