"""DBOS in one process, on SQLite and PostgreSQL.

Called directly from 1, 2 and 4 threads, or through a queue polled every 0.05 s (default: 1 s).
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSConfig

from bench.catalogue import Storage
from bench.databases import synchronous
from bench.figures import growth, long_run, p50_and_p95, percentile
from bench.jobs import Figures, Job, answer
from bench.processes import idle_share, wait_until

QUEUE = "bench"
BRANCHES = 100
_HISTORY = ("workflow_status", "workflow_input", "workflow_output", "operation_outputs")
"""The tables in which DBOS keeps finished runs."""

MORE_THAN_DONE_A_SECOND = 120
"""Runs put into the queue for each second of measuring, so that it does not run dry."""
LEAD = 3.0
"""Seconds in which all sleepers must have fallen asleep."""

_starts: list[float] = []
"""When each step started, in this process."""


@DBOS.step()
def noop(value: int) -> int:
    _starts.append(time.time())
    return value


@DBOS.step()
async def noop_async(value: int) -> int:
    return value


@DBOS.workflow()
def noop_steps(steps: int) -> float:
    """Returns when it ended."""
    for index in range(steps):
        noop(index)
    return time.time()


@DBOS.workflow()
def sleeper(until: float) -> float:
    """Returns how late it woke, in seconds."""
    DBOS.sleep(until - time.time())
    return time.time() - until


@DBOS.workflow()
async def fan_out(branches: int) -> int:
    return sum(await asyncio.gather(*(noop_async(index) for index in range(branches))))


@contextmanager
def launched(job: Job, *, listening: tuple[str, ...] = (QUEUE,)) -> Iterator[None]:
    """DBOS with its defaults, but quiet, and listening only to these queues."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": _sqlalchemy_url(job),
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.listen_queues(listening)
    DBOS.launch()
    try:
        DBOS.register_queue(QUEUE, polling_interval_sec=0.05, worker_concurrency=8)
        yield
    finally:
        DBOS.destroy()


def _sqlalchemy_url(job: Job, driver: str = "") -> str:
    return job.database_url.replace("postgres://", f"postgresql{driver}://")


def throughput(job: Job) -> Figures:
    """Direct: runs that threads call one after the other. Queue: runs taken from a backlog."""
    if job.variant == "queue":
        return _through_the_queue(job)
    threads = int(job.variant.split()[0])
    with launched(job):
        _call_from(threads, seconds=0.2)
        cpu, started = time.process_time(), time.perf_counter()
        runs = _call_from(threads, job.sizes.seconds)
        return _rate(runs, time.perf_counter() - started, time.process_time() - cpu)


def _call_from(threads: int, seconds: float) -> int:
    """Call 10-step runs from each thread until the time is up; how many."""
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(_call_until, [deadline] * threads))


def _call_until(deadline: float) -> int:
    runs = 0
    while time.monotonic() < deadline:
        noop_steps(10)
        runs += 1
    return runs


def _through_the_queue(job: Job) -> Figures:
    with launched(job, listening=("none",)):
        for _ in range(int(job.sizes.seconds * MORE_THAN_DONE_A_SECOND)):
            DBOS.enqueue_workflow(QUEUE, noop_steps, 10)
    with launched(job):
        wait_until(lambda: bool(_starts), seconds=30, every=0.005)
        cpu, started, steps = time.process_time(), time.perf_counter(), len(_starts)
        time.sleep(job.sizes.seconds)
        runs = (len(_starts) - steps) / 10
        return _rate(runs, time.perf_counter() - started, time.process_time() - cpu)


def _rate(runs: float, seconds: float, cpu: float) -> Figures:
    return {"runs": runs / seconds, "cpu": cpu / runs * 1000}


def latency(job: Job) -> Figures:
    """One run at a time through the queue, with a random pause between."""
    start, finish = [], []
    with launched(job):
        _enqueued_run()
        for _ in range(job.sizes.latency_samples):
            _starts.clear()
            asked = time.time()
            ended = _enqueued_run()
            start.append(_starts[0] - asked)
            finish.append(ended - asked)
            time.sleep(random.uniform(0.01, 0.05))
    return p50_and_p95("start", start) | p50_and_p95("finish", finish)


def _enqueued_run() -> float:
    """Returns when it ended. The first one waits a second, until the queue is known."""
    handle = DBOS.enqueue_workflow(QUEUE, noop_steps, 1)
    ended: float = handle.get_result(polling_interval_sec=0.05)
    return ended


def inline(job: Job) -> Figures:
    """Plain calls of the workflow function, one at a time."""
    with launched(job):
        one = [_seconds(lambda: noop_steps(1)) for _ in range(job.sizes.inline_samples)]
        ten = [_seconds(lambda: noop_steps(10)) for _ in range(job.sizes.inline_samples // 2)]
    return {"one_p50": percentile(one, 50) * 1000, "ten_p50": percentile(ten, 50) * 1000}


def idle(job: Job) -> Figures:
    """Launched and listening to one queue."""
    with launched(job):
        noop_steps(1)
        time.sleep(1)
        return {"core": idle_share(os.getpid(), job.sizes.idle_seconds)}


def sleep(job: Job) -> Figures:
    """A thread each, as DBOS does it; wake times spread over one second."""
    with launched(job):
        first, count = time.time() + LEAD, job.sizes.sleepers
        handles = [DBOS.start_workflow(sleeper, first + index / count) for index in range(count)]
        late = [handle.get_result() for handle in handles]
    return p50_and_p95("late", late)


def long(job: Job) -> Figures:
    """One run alone; SQLite's log has grown to its full size before."""
    with launched(job):
        noop_steps(500)
        _starts.clear()
        noop_steps(job.sizes.long_steps)
    return long_run(_starts)


def fanout(job: Job) -> Figures:
    """100 steps at once under asyncio.gather, after one that does not count."""
    with launched(job):
        took = asyncio.run(_fan_outs(job.sizes.fan_outs))
    return {"ms": percentile(took, 50) * 1000}


async def _fan_outs(count: int) -> list[float]:
    await fan_out(BRANCHES)
    took = []
    for _ in range(count):
        started = time.perf_counter()
        await fan_out(BRANCHES)
        took.append(time.perf_counter() - started)
    return took


def history(job: Job) -> Figures:
    """Three batches of direct calls, the history multiplied by SQL copies of them, three again."""
    with launched(job):
        empty = _batch_costs(job)
        _multiply_history(job)
        full = _batch_costs(job)
    return growth(empty, full)


def _batch_costs(job: Job) -> list[float]:
    """Seconds a run in each of three batches, after one that does not count."""
    seconds = job.sizes.seconds / 3
    _call_from(1, seconds)
    costs = []
    for _ in range(3):
        started = time.perf_counter()
        runs = _call_from(1, seconds)
        costs.append((time.perf_counter() - started) / runs)
    return costs


def _multiply_history(job: Job) -> None:
    """Copy finished runs with their steps, by SQL, until as many are stored as asked for."""
    engine = sqlalchemy.create_engine(_sqlalchemy_url(job, driver="+psycopg"))
    schema = "dbos" if job.storage is Storage.POSTGRES else None
    with engine.begin() as connection:
        tables = sqlalchemy.MetaData(schema=schema)
        tables.reflect(connection, only=_HISTORY)
        runs = tables.tables[f"{schema}.workflow_status" if schema else "workflow_status"]
        stored = connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(runs))
        for table in tables.sorted_tables:
            if table.name in _HISTORY:
                connection.execute(_copies(table, job.sizes.history // (stored or 1)))
    _settle_statistics(engine)


def _copies(table: sqlalchemy.Table, count: int) -> sqlalchemy.Insert:
    """Insert all rows of the table `count` times more, under ids of their own."""
    numbers = sqlalchemy.text(
        "WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < :count)"
        " SELECT n FROM copy"
    )
    copy = numbers.bindparams(count=count).columns(sqlalchemy.column("n", sqlalchemy.Integer))
    number = sqlalchemy.cast(copy.subquery("copy").c.n, sqlalchemy.Text)
    values = [
        column + "-" + number if column.name == "workflow_uuid" else column
        for column in table.columns
    ]
    return table.insert().from_select(list(table.columns), sqlalchemy.select(*values))


def _settle_statistics(engine: sqlalchemy.Engine) -> None:
    """What autovacuum or a checkpoint would do a little later."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(sqlalchemy.text("PRAGMA wal_checkpoint(TRUNCATE)"))
            connection.execute(sqlalchemy.text("ANALYZE"))
        else:
            connection.execute(sqlalchemy.text("VACUUM ANALYZE"))
    engine.dispose()


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _set_synchronous(job: Job) -> None:
    """On every new connection, to which it belongs; DBOS leaves it as SQLite has it."""

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def connected(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute(f"PRAGMA synchronous={synchronous(job.storage)}")


MEASUREMENTS = {
    measurement.__name__: measurement
    for measurement in (throughput, latency, inline, idle, sleep, long, fanout, history)
}


def main(job: Job) -> Figures:
    _set_synchronous(job)
    return MEASUREMENTS[job.measure](job)


if __name__ == "__main__":
    answer(dict.fromkeys(MEASUREMENTS, main))
