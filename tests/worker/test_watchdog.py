"""The thread that ends a cluster whose doorbell nobody answers."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pytest_django import Settings

from workflows_app.worker.watchdog import Calls, RoundsWatch, Watchdog

PATIENCE = 20


@dataclass
class Moment:
    """Memory that a cluster's processes share."""

    value: float = 0.0


class AlwaysNow:
    """Memory that somebody keeps up to date for as long as anybody looks."""

    @property
    def value(self) -> float:
        return time.monotonic()


@pytest.fixture
def sentinel() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for the cluster's own."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_without_a_call_there_is_no_silence() -> None:
    assert Calls(Moment()).silence() == 0.0


def test_silence_is_counted_from_the_oldest_call_without_an_answer() -> None:
    calls = Calls(Moment())
    now = time.monotonic()
    calls.call(now - 30)
    calls.call(now - 10)

    assert 30 <= calls.silence() < 31


def test_an_answer_ends_the_silence() -> None:
    answered = Moment()
    calls = Calls(answered)
    now = time.monotonic()
    calls.call(now - 30)
    answered.value = now - 20

    assert calls.silence() == 0.0


def test_a_call_after_an_answer_is_waited_for_from_then_on() -> None:
    answered = Moment()
    calls = Calls(answered)
    now = time.monotonic()
    calls.call(now - 30)
    answered.value = now - 20
    calls.call(now - 10)

    assert 10 <= calls.silence() < 11


@pytest.mark.processes
def test_a_cluster_that_does_not_answer_is_ended(
    sentinel: subprocess.Popen[bytes], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WORKFLOWS = {"WATCHDOG": "0.2s"}
    dog = Watchdog(answered=Moment(), reported=Moment(), sentinel=sentinel.pid)
    with caplog.at_level(logging.CRITICAL):
        dog.start()
        dog.rang()
        assert sentinel.wait(PATIENCE) == -signal.SIGKILL

    assert caplog.messages == ["nobody answered the doorbell for 0.2 s; the cluster is ended"]


@pytest.mark.processes
def test_a_cluster_that_answers_is_left_alone(
    sentinel: subprocess.Popen[bytes], settings: Settings
) -> None:
    settings.WORKFLOWS = {"WATCHDOG": "0.2s"}
    answered, reported = Moment(), Moment()
    dog = Watchdog(answered=answered, reported=reported, sentinel=sentinel.pid)
    dog.start()
    for _ in range(30):
        dog.rang()
        answered.value = reported.value = time.monotonic()
        threading.Event().wait(0.02)

    assert sentinel.poll() is None


@pytest.mark.processes
def test_a_sentinel_that_does_not_go_its_rounds_is_ended(
    sentinel: subprocess.Popen[bytes], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WORKFLOWS = {"WATCHDOG": "0.2s"}
    with caplog.at_level(logging.CRITICAL):
        RoundsWatch(Moment(time.monotonic()), sentinel.pid).start()
        assert sentinel.wait(PATIENCE) == -signal.SIGKILL

    assert caplog.messages == ["the sentinel has stood still for 0.2 s; the cluster is ended"]


@pytest.mark.processes
def test_a_sentinel_that_goes_its_rounds_is_left_alone(
    sentinel: subprocess.Popen[bytes], settings: Settings
) -> None:
    settings.WORKFLOWS = {"WATCHDOG": "0.2s"}
    RoundsWatch(AlwaysNow(), sentinel.pid).start()
    threading.Event().wait(0.6)

    assert sentinel.poll() is None
