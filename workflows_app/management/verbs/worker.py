"""`workflows worker`: works off what is due with threads, without django-q2."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from django.core.management import CommandError, CommandParser
from django.db import Error as AnyDatabaseError

from workflows_app.conf import get_settings
from workflows_app.engine import presence, pruning
from workflows_app.engine.drain import Crew
from workflows_app.management import arguments
from workflows_app.management.console import Console
from workflows_app.management.verbs import Options
from workflows_app.worker.doorbell import Doorbell

HELP = "work with threads, without django-q2; SIGTERM gives back what is not finished"

PATIENCE = 0.5
"""Seconds between looks at whether to stop."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--threads", type=arguments.count, help="deliveries at a time; WORKFLOWS_THREADS"
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        help="a file that exists while work is taken up, for readiness probes",
    )


def run(console: Console, options: Options) -> None:
    stopping = _stop_on_signals()
    settings = get_settings()
    threads = options["threads"] or settings.THREADS
    crew = Crew(threads)
    _mark(options["ready_file"])
    presence.begin(threads)
    console.say(f"working with {threads} threads")
    try:
        _work(crew, stopping)
    finally:
        if options["ready_file"] is not None:
            options["ready_file"].unlink(missing_ok=True)
    _leave(console, crew, settings.SHUTDOWN_GRACE.total_seconds())


def _work(crew: Crew, stopping: threading.Event) -> None:
    pruning.owe()
    doorbell = Doorbell()
    while not stopping.is_set():
        if doorbell.wait(PATIENCE) and not stopping.is_set():
            crew.ring()
            crew.settle_down(PATIENCE)


def _leave(console: Console, crew: Crew, grace: float) -> None:
    status = 0
    try:
        crew.stop(grace)
    except AnyDatabaseError as error:
        console.say(f"leases could not be given back, and will run out by themselves: {error}")
        status = 1
    presence.end()
    sys.stdout.flush()
    sys.stderr.flush()
    # A step that is still at work must not hold up the end: nothing of it could be recorded.
    os._exit(status)


def _stop_on_signals() -> threading.Event:
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return stopping


def _mark(ready_file: Path | None) -> None:
    try:
        if ready_file is not None:
            ready_file.touch()
    except OSError as error:
        raise CommandError(f"{ready_file} cannot be made: {error.strerror}") from None
