"""What the engine needs from outside, and where it is plugged in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from workflows_app.conf import get_settings
from workflows_app.engine.leases import Lease
from workflows_app.models import Run
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.runs import History, RunRequest, TurnOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A run that is to go on, under a lease."""

    run: Run
    history: History
    lease: Lease
    stopping: threading.Event | None = None
    """Set when the process is to end: the turn then stops after the step in flight."""


class TurnFailed(Exception):
    """The workflow's endpoint gave no usable answer. `error` is JSON as in `FailedAttempt`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An HTTP request that a delivery waits for, holding no thread, and what becomes of its answer.

    `settle` is given what stands for an answer when none came. It raises LeaseLost when another
    worker has taken over, and may be called in another thread than the one that made the request.
    """

    request: Outgoing
    settle: Callable[[Answer], None]


class Transport(Protocol):
    """Reaches workflow functions, wherever they run, and the rest of the world."""

    def take_turn(self, turn: Turn) -> TurnOutcome:
        """Raises LeaseLost, or an exception for which the turn is tried again."""

    def handles_failure(self, run: Run) -> bool:
        """Whether anyone wants to be told that this run has failed."""

    def call_failure_function(self, run: Run, attempt: int) -> Answer:
        """What the failure function returned, as the body of a 200. Raises what it raises."""

    def send(self, request: Outgoing) -> Answer:
        """Send an HTTP request to anyone. Raises SendFailed when there is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a workflow that is registered here is, by its source."""

    class_name: str
    """Of the class, or of the function."""
    script_name: str
    """The module that it is defined in."""
    digest: str
    """SHA-256 of the source, and of the steps in functions that it calls."""
    source: str = field(default="", compare=False)
    """Empty when it is not known."""


class Catalogue(Protocol):
    """The workflows that are registered here."""

    def names(self) -> Sequence[str]: ...

    def code_of(self, name: str) -> Code | None:
        """None when there is no such workflow."""

    def graph_of(self, name: str) -> str | None:
        """JSON; None when it cannot be told."""

    def request_for(self, name: str) -> RunRequest | None:
        """A run of it with what it says about its runs. None when there is no such workflow."""


class Dispatcher(Protocol):
    """Wakes workers. A doorbell, not a queue: rings may be lost, doubled or late."""

    def ring(self) -> None:
        """Called in the transaction that makes work due; takes effect no sooner than its commit."""


_transport: Transport | None = None
_catalogue: Catalogue | None = None


def install_transport(transport: Transport) -> None:
    global _transport
    _transport = transport


def get_transport() -> Transport:
    assert _transport is not None, "installed when the app is ready"  # noqa: S101
    return _transport


def install_catalogue(catalogue: Catalogue) -> None:
    global _catalogue
    _catalogue = catalogue


def get_catalogue() -> Catalogue:
    assert _catalogue is not None, "installed when the app is ready"  # noqa: S101
    return _catalogue


@cache
def get_dispatcher() -> Dispatcher:
    dispatcher: Dispatcher = import_string(get_settings().DISPATCHER)()
    return dispatcher


def _forget(*, setting: str, **_: object) -> None:
    if setting == "WORKFLOWS":
        get_dispatcher.cache_clear()


setting_changed.connect(_forget, dispatch_uid="workflows_app.engine.ports")
