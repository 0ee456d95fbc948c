"""From measured times to the figures of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import mean, median

from bench.jobs import Figures


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all values do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def p50_and_p95(name: str, seconds: Sequence[float]) -> Figures:
    """`name`_p50 and `name`_p95, in milliseconds."""
    return {f"{name}_p{percent}": percentile(seconds, percent) * 1000 for percent in (50, 95)}


def long_run(starts: Sequence[float]) -> Figures:
    """The time of a step in a long run, and how much slower its last tenth was than its first.

    `starts` are the seconds at which its steps started, in order. The tenths are compared by their
    medians, which a hiccup of the machine does not move.
    """
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    tenth = len(gaps) // 10
    return {
        "step": mean(gaps) * 1000,
        "drift": (median(gaps[-tenth:]) / median(gaps[:tenth]) - 1) * 100,
    }


def growth(empty: Sequence[float], full: Sequence[float]) -> Figures:
    """The cost of a run before and after the history grew.

    `empty` and `full` are seconds a run, one value a batch; the best batch counts.
    """
    return {
        "empty": min(empty) * 1000,
        "full": min(full) * 1000,
        "growth": (min(full) / min(empty) - 1) * 100,
    }
