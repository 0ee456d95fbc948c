"""django-q2's side: what its cluster is handed, and how it is watched."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.sharedctypes import RawValue
from typing import Any

import pytest
from django.db import connections
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from pytest_django import Settings

from workflows_app import Context, workflow
from workflows_app.engine import drain
from workflows_app.engine.drain import Crew
from workflows_app.errors import Refused
from workflows_app.models import Message, Run
from workflows_app.worker import tasks
from workflows_app.worker.broker import PATIENCE, DoorbellBroker
from workflows_app.worker.doorbell import Doorbell
from workflows_app.worker.watchdog import Calls, Watchdog

LONG = 20.0
"""Seconds after which what should have happened has not."""


@workflow("broker-two-steps")
def two_steps(context: Context) -> int:
    return context.run("first", int, 1) + context.run("second", int, 1)


@pytest.fixture
def sentinel() -> Iterator[subprocess.Popen[bytes]]:
    """Stands for the process that the watchdog ends."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def broker(sentinel: subprocess.Popen[bytes]) -> Iterator[DoorbellBroker]:
    broker = DoorbellBroker()
    # As its first `dequeue` makes them, but for the process to end, which would be pytest's parent.
    broker._doorbell = Doorbell()
    broker._watchdog = Watchdog(tasks.answered, tasks.reported, sentinel.pid)
    yield broker
    connections.close_all()


# -- what the cluster is handed


@pytest.mark.django_db(transaction=True)
def test_dequeue_hands_out_a_task_that_says_only_drain(broker: DoorbellBroker) -> None:
    two_steps.trigger({"a payload": "that stays in the database"})

    dequeued = broker.dequeue()

    assert dequeued is not None
    ((acknowledgement, package),) = dequeued
    task: dict[str, Any] = SignedPackage.loads(package)
    assert acknowledgement == "doorbell"
    assert {name: task[name] for name in task if name not in ("id", "started")} == {
        "name": "drain",
        "func": "workflows_app.worker.tasks.drain",
        "args": (),
        "kwargs": {},
        "ack_failure": True,
    }


@pytest.mark.django_db(transaction=True)
def test_dequeue_returns_in_time_when_nothing_is_due(broker: DoorbellBroker) -> None:
    two_steps.trigger(delay="1h")
    started = time.monotonic()

    assert broker.dequeue() is None
    assert PATIENCE <= time.monotonic() - started < PATIENCE + 5


def test_a_task_of_the_project_s_own_is_refused(broker: DoorbellBroker) -> None:
    with pytest.raises(Refused, match="ALT_CLUSTERS"):
        async_task("math.sqrt", 2, broker=broker)


def test_nothing_is_ever_queued_or_locked_in_it(broker: DoorbellBroker) -> None:
    assert (broker.queue_size(), broker.lock_size(), broker.ping()) == (0, 0, True)
    assert broker.info() == "Workflows doorbell"


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """A crew of this process's own for the test."""
    crew = Crew(3)
    monkeypatch.setattr(drain, "_crew", crew)
    yield crew
    crew.stop(grace=LONG)


@pytest.mark.django_db(transaction=True)
def test_tasks_lost_doubled_late_or_out_of_order_change_nothing(
    broker: DoorbellBroker, crew: Crew
) -> None:
    """What django-q2's queue may do to them when its processes are killed."""
    two_steps.trigger_many([None] * 30)
    queue: list[tuple[str, str]] = []
    deadline = time.monotonic() + LONG

    while Run.objects.live().exists() and time.monotonic() < deadline:
        queue += broker.dequeue() or []
        random.shuffle(queue)
        match random.choice(["lost", "doubled", "late", "in order"]):
            case "lost" if queue:
                queue.pop()
            case "doubled" if queue:
                queue.append(queue[0])
            case "in order":
                while queue:
                    _work_on(queue.pop())
    assert crew.wait_until_idle(LONG)

    assert set(Run.objects.values_list("status", "result")) == {("succeeded", "2")}
    assert not Message.objects.filter(run__isnull=False).exists()


def _work_on(task: tuple[str, str]) -> None:
    assert SignedPackage.loads(task[1])["func"] == "workflows_app.worker.tasks.drain"
    tasks.drain()


@pytest.mark.django_db(transaction=True)
def test_draining_tells_the_watchdog_before_anything_else(crew: Crew) -> None:
    before = time.monotonic()

    tasks.drain()

    assert before <= tasks.answered.value <= time.monotonic()


def test_taking_a_report_tells_the_watchdog(broker: DoorbellBroker) -> None:
    before = time.monotonic()

    broker.acknowledge("doorbell")

    assert before <= tasks.reported.value <= time.monotonic()


# -- the watchdog


def test_answering_takes_no_lock_that_a_killed_process_could_keep() -> None:
    assert not hasattr(tasks.answered, "get_lock")
    assert not hasattr(tasks.reported, "get_lock")


def test_an_answer_from_before_the_call_does_not_count() -> None:
    answered = RawValue("d", time.monotonic())
    calls = Calls(answered)
    calls.call(time.monotonic())
    time.sleep(0.02)

    assert calls.silence() >= 0.02


def test_a_cluster_whose_monitor_takes_no_reports_is_ended(
    sentinel: subprocess.Popen[bytes], settings: Settings
) -> None:
    settings.WORKFLOWS = {"WATCHDOG": timedelta(milliseconds=300)}
    answered, reported = RawValue("d", 0.0), RawValue("d", 0.0)
    watchdog = Watchdog(answered, reported, sentinel.pid)
    watchdog.start()

    watchdog.rang()
    answered.value = time.monotonic()

    assert sentinel.wait(LONG) == -signal.SIGKILL
