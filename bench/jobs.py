"""What the bench sends to a contestant's process, a job, and what comes back, its figures."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.catalogue import Storage

Figures = dict[str, float]
Measurement = Callable[["Job"], Figures]

_ANSWER = "figures: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much work each measure is made of."""

    variants: int
    """How many configurations of a contestant are tried, where it has several."""
    seconds: float
    """How long a peer's throughput is measured."""
    our_runs: int
    """10-step runs that we are given at once."""
    tasks: int
    latency_samples: int
    inline_samples: int
    idle_seconds: float
    sleepers: int
    long_steps: int
    fan_outs: int
    history: int
    """Finished runs stored before the second half of the history measure."""
    http_steps: int
    """Steps of a run whose endpoint is elsewhere."""
    http_rounds: int
    """How many of them are measured alone, one after the other."""
    instances: int
    """Created over HTTP, in batches."""
    listed: int
    """Instances stored before the second half of the listing measure."""
    console_runs: int
    """Stored before pages of the admin are asked for, each with ten steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One measure of one contestant on one storage, whose address is in DATABASE_URL."""

    measure: str
    storage: Storage
    variant: str
    sizes: Sizes

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        fields = json.loads(text)
        fields["storage"] = Storage(fields["storage"])
        fields["sizes"] = Sizes(**fields["sizes"])
        return cls(**fields)

    @property
    def database_url(self) -> str:
        return os.environ["DATABASE_URL"]

    @property
    def directory(self) -> Path:
        """A directory of this job's own; it goes when the job ends."""
        return Path(os.environ["BENCH_DIRECTORY"])


def answer(measurements: Mapping[str, Measurement]) -> None:
    """Do the job named on the command line and write its figures to stdout."""
    job = Job.from_json(sys.argv[1])
    figures = measurements[job.measure](job)
    print(f"\n{_ANSWER}{json.dumps(figures)}", flush=True)


def read_answer(output: str) -> Figures:
    """The figures in what a contestant's process wrote. Raises ValueError when there are none."""
    for line in reversed(output.splitlines()):
        if line.startswith(_ANSWER):
            figures: Figures = json.loads(line.removeprefix(_ANSWER))
            return figures
    raise ValueError("the process ended without figures")
