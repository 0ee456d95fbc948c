from __future__ import annotations

import os
import signal
from pathlib import Path

from django.apps import AppConfig

TRAP = "FAULTS_TRAP"


class FaultsConfig(AppConfig):
    name = "tests.faults.app"
    label = "faults"

    def ready(self) -> None:
        from django_q.signals import post_execute_in_worker

        post_execute_in_worker.connect(die_in_the_trap, dispatch_uid="faults")


def die_in_the_trap(**_: object) -> None:
    """Kill the first worker that comes here once the trap is set. It then holds the lock of its
    timer for ever: django-q2 tells of a task's end under that lock.
    """
    try:
        Path(os.environ[TRAP]).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
