"""The measures that any task queue can take part in, with a task that only notes its start."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial

from bench.figures import p50_and_p95
from bench.jobs import Figures, Job, Measurement
from bench.peers import stamps
from bench.processes import idle_share, wait_until

PATIENCE = 20.0
"""Seconds after which the rate is taken from the tasks that have started by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueue:
    """How to use one task queue: `submit` a task by its number; run `workers` for a block."""

    submit: Callable[[int], object]
    workers: Callable[[], AbstractContextManager[int]]


def measurements(queue: TaskQueue) -> Mapping[str, Measurement]:
    return {
        "tasks": partial(_tasks, queue),
        "latency": partial(_latency, queue),
        "idle": partial(_idle, queue),
    }


def _tasks(queue: TaskQueue, job: Job) -> Figures:
    """All tasks wait before the workers start; timed from the first start to the last."""
    for task in range(job.sizes.tasks):
        queue.submit(task)
    with queue.workers(), suppress(TimeoutError):
        wait_until(lambda: stamps.count() >= job.sizes.tasks, seconds=PATIENCE)
    times = sorted(stamps.starts().values())
    return {"tasks": (len(times) - 1) / (times[-1] - times[0])}


def _latency(queue: TaskQueue, job: Job) -> Figures:
    """One task at a time, with a random pause between, so that no poll is met in step."""
    with queue.workers():
        _warm_up(queue)
        submitted = {task: _submit(queue, task) for task in range(job.sizes.latency_samples)}
    starts = stamps.starts()
    return p50_and_p95("start", [starts[task] - at for task, at in submitted.items()])


def _idle(queue: TaskQueue, job: Job) -> Figures:
    with queue.workers() as process:
        _warm_up(queue)
        time.sleep(1)
        return {"core": idle_share(process, job.sizes.idle_seconds)}


def _submit(queue: TaskQueue, task: int) -> float:
    """Submit, wait for the start, pause; returns when it was submitted."""
    before, at = stamps.count(), time.time()
    queue.submit(task)
    wait_until(lambda: stamps.count() > before, seconds=30, every=0.005)
    time.sleep(random.uniform(0.01, 0.05))
    return at


def _warm_up(queue: TaskQueue) -> None:
    for task in range(-10, 0):
        queue.submit(task)
    wait_until(lambda: stamps.count() >= 10, seconds=60)
