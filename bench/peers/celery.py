"""Celery on Redis: two prefork workers, results ignored; its fastest setting of those tried."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager

from celery import Celery

from bench.jobs import answer
from bench.peers.stamps import stamp
from bench.peers.task_queue import TaskQueue, measurements
from bench.processes import running

app = Celery("bench", broker=os.environ["DATABASE_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop(task: int) -> None:
    stamp(task)


def workers() -> AbstractContextManager[int]:
    command = ["-m", "celery", "-A", "bench.peers.celery:app", "worker", "-c", "2", "-l", "ERROR"]
    return running(sys.executable, *command, "--without-gossip", "--without-mingle")


if __name__ == "__main__":
    answer(measurements(TaskQueue(submit=noop.delay, workers=workers)))
