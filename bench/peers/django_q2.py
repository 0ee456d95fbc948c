"""Plain django-q2 on its ORM broker, tuned (see django_q2_settings.py), two workers."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import partial

import django
from django.core.management import call_command

from bench.jobs import answer
from bench.peers.task_queue import TaskQueue, measurements
from bench.processes import running

django.setup()

from django_q.tasks import async_task  # noqa: E402  its models need the setup above


def workers() -> AbstractContextManager[int]:
    return running(sys.executable, "-m", "django", "qcluster")


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    submit = partial(async_task, "bench.peers.stamps.stamp", save=False)
    answer(measurements(TaskQueue(submit=submit, workers=workers)))
