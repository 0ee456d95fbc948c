"""The one task that django-q2 carries."""

from __future__ import annotations

import time
from multiprocessing import util
from multiprocessing.sharedctypes import RawValue

from workflows_app.conf import get_settings
from workflows_app.engine import drain as engine
from workflows_app.engine import presence, pruning
from workflows_app.worker import endings

answered = RawValue("d", 0.0)
"""When a worker of this cluster answered a ring last. Shared by fork; the watchdog reads it."""
reported = RawValue("d", 0.0)
"""When the cluster's monitor took a worker's report last."""
went_round = RawValue("d", 0.0)
"""When the cluster's sentinel looked after its processes last."""

_ready_to_end = False
_prepared = False


def spawned(**_said: object) -> None:
    """A worker of the cluster begins: from now on it is seen to be there, also while it has nothing
    to do.
    """
    _get_ready_to_end()
    presence.begin(get_settings().THREADS)


def drain() -> None:
    """Answer the doorbell. Never raises and returns nothing, so that django-q2 has nothing to
    retry.
    """
    answered.value = time.monotonic()
    _prepare()
    engine.drain()


def _prepare() -> None:
    """Once per worker process: what ended long ago is to be forgotten."""
    global _prepared
    if _prepared:
        return
    _prepared = True
    _get_ready_to_end()
    pruning.owe()


def _get_ready_to_end() -> None:
    """Once per worker process: an end, however it comes, gives the leases back."""
    global _ready_to_end
    if _ready_to_end:
        return
    _ready_to_end = True
    endings.before_end(_stop)
    util.Finalize(None, _stop, exitpriority=100)


def _stop() -> None:
    try:
        engine.crew().stop(get_settings().SHUTDOWN_GRACE.total_seconds())
    finally:
        presence.end()
