"""This project: runs worked on by `python manage.py qcluster`, two worker processes, as it ships.

Times are those of the stored rows: when a step started, when a run ended.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import django
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Max, Min, QuerySet

from bench.copies import multiply, settle
from bench.figures import growth, long_run, p50_and_p95, percentile
from bench.jobs import Figures, Job, answer
from bench.processes import cpu_seconds, idle_share, running, wait_until

django.setup()

from bench.workflows import sleeper  # noqa: E402  models need the setup above
from project.workflows import fan_out, noop_steps  # noqa: E402
from workflows_app import Workflow  # noqa: E402
from workflows_app.models import Run, Step  # noqa: E402

BRANCHES = 100
LEAD = 2.0
"""Seconds in which all sleepers must have fallen asleep."""


@contextmanager
def cluster() -> Iterator[int]:
    """The django-q2 cluster, warm; yields its process id."""
    with running(sys.executable, "manage.py", "qcluster") as process:
        _work_through(noop_steps, [{"steps": 1}] * 50)
        yield process


def throughput(job: Job) -> Figures:
    """All runs appear in one commit; timed from the first step's start to the last run's end."""
    with cluster() as process:
        cpu = cpu_seconds(process)
        runs = _work_through(noop_steps, [{"steps": 10}] * job.sizes.our_runs)
        cpu = cpu_seconds(process) - cpu
    return {
        "runs": job.sizes.our_runs / _duration(runs),
        "cpu": cpu / job.sizes.our_runs * 1000,
    }


def tasks(job: Job) -> Figures:
    """As throughput, with runs of one step."""
    with cluster():
        runs = _work_through(noop_steps, [{"steps": 1}] * job.sizes.tasks)
    return {"tasks": job.sizes.tasks / _duration(runs)}


def latency(job: Job) -> Figures:
    """One run at a time, with a random pause between, so that no poll is met in step."""
    start, finish = [], []
    with cluster():
        for _ in range(job.sizes.latency_samples):
            asked, run = _one_run(noop_steps, {"steps": 1})
            start.append(_starts(run)[0] - asked)
            finish.append(_ended(run) - asked)
            time.sleep(random.uniform(0.01, 0.05))
    return p50_and_p95("start", start) | p50_and_p95("finish", finish)


def inline(job: Job) -> Figures:
    """`run()` in this process, one at a time, beside an idle cluster."""
    with cluster():
        one = [
            _seconds(lambda: noop_steps.run({"steps": 1})) for _ in range(job.sizes.inline_samples)
        ]
        ten = [
            _seconds(lambda: noop_steps.run({"steps": 10}))
            for _ in range(job.sizes.inline_samples // 2)
        ]
    _check_all_succeeded()
    return {"one_p50": percentile(one, 50) * 1000, "ten_p50": percentile(ten, 50) * 1000}


def idle(job: Job) -> Figures:
    """All processes of the cluster together; a database server's own are not counted."""
    with cluster() as process:
        time.sleep(1)
        return {"core": idle_share(process, job.sizes.idle_seconds)}


def sleep(job: Job) -> Figures:
    """Wake times spread over one second; each run says how late it went on."""
    with cluster():
        first, count = time.time() + LEAD, job.sizes.sleepers
        runs = _work_through(sleeper, [{"until": first + index / count} for index in range(count)])
    return p50_and_p95("late", [json.loads(run.result or "") for run in runs])


def long(job: Job) -> Figures:
    """One run alone, steps one after the other; SQLite's log has grown to its full size before."""
    with cluster():
        _work_through(noop_steps, [{"steps": 10}] * 200)
        _, run = _one_run(noop_steps, {"steps": job.sizes.long_steps})
    return long_run(_starts(run))


def fanout(job: Job) -> Figures:
    """From the trigger to the end of the run, sum included."""
    with cluster():
        took = []
        for _ in range(job.sizes.fan_outs):
            asked, run = _one_run(fan_out, {"branches": BRANCHES})
            took.append(_ended(run) - asked)
    return {"ms": percentile(took, 50) * 1000}


def history(job: Job) -> Figures:
    """Three batches of runs, the history multiplied by SQL copies of them, three again."""
    empty = _batch_costs(job)
    _multiply_history(job.sizes.history)
    full = _batch_costs(job)
    return growth(empty, full)


def _batch_costs(job: Job) -> list[float]:
    """Seconds a run in each of three batches, after one that does not count."""
    runs = job.sizes.our_runs // 4
    bodies = [{"steps": 10}] * runs
    with cluster():
        _work_through(noop_steps, bodies)
        return [_duration(_work_through(noop_steps, bodies)) / runs for _ in range(3)]


def _work_through(workflow: Workflow, bodies: Sequence[Mapping[str, float]]) -> QuerySet[Run]:
    """Trigger a run for each body in one commit and wait until the cluster has ended all."""
    before = Run.objects.aggregate(last=Max("id"))["last"] or 0
    with transaction.atomic():
        workflow.trigger_many(bodies)
    # By an index that has the live runs alone: what is stored must not slow down whoever waits.
    wait_until(lambda: not Run.objects.filter(live_id__isnull=False).exists(), seconds=60)
    _check_all_succeeded()
    return Run.objects.filter(id__gt=before)


def _one_run(workflow: Workflow, body: dict[str, int]) -> tuple[float, Run]:
    """When it was asked for, and the run once it has ended."""
    asked = time.time()
    ended = Run.objects.exclude(status="running").filter(
        run_id=workflow.trigger(body).workflow_run_id
    )
    wait_until(ended.exists, seconds=60, every=0.01)
    _check_all_succeeded()
    return asked, ended.get()


def _check_all_succeeded() -> None:
    for run in Run.objects.filter(status__in=("failed", "canceled"))[:1]:
        raise RuntimeError(f"{run.run_id} has {run.status}: {run.error}")


def _duration(runs: QuerySet[Run]) -> float:
    """Seconds from the first step's start to the last run's end."""
    first: datetime = Step.objects.filter(run__in=runs).aggregate(at=Min("started_at"))["at"]
    last: datetime = runs.aggregate(at=Max("ended_at"))["at"]
    duration: timedelta = last - first
    return duration.total_seconds()


def _starts(run: Run) -> list[float]:
    started = Step.objects.filter(run=run).order_by("id").values_list("started_at", flat=True)
    return [moment.timestamp() for moment in started]


def _ended(run: Run) -> float:
    assert run.ended_at is not None
    return run.ended_at.timestamp()


def _multiply_history(count: int) -> None:
    """Copy finished runs with their steps until as many are stored as asked for."""
    times = count // Run.objects.count()
    last = Run.objects.aggregate(last=Max("id"))["last"]
    multiply(Run, times, {"id": f"id + copy.n * {last}", "run_id": "run_id || '-' || copy.n"})
    multiply(Step, times, {"id": "", "run_id": f"run_id + copy.n * {last}"})
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('workflows_app_run', 'id'), "
                "(SELECT max(id) FROM workflows_app_run))"
            )
    settle()


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


MEASUREMENTS = {
    measurement.__name__: measurement
    for measurement in (throughput, tasks, latency, inline, idle, sleep, long, fanout, history)
}

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    answer(MEASUREMENTS)
