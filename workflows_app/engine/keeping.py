"""Renewing the leases that this process holds, from one thread, with one statement for all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connections

from workflows_app.conf import get_settings
from workflows_app.engine import leases
from workflows_app.engine.leases import Lease
from workflows_app.engine.processes import in_forked_children
from workflows_app.protocol.runs import StepInFlight

logger = logging.getLogger("workflows_app")


class Keeper:
    """Holds leases for as long as they are worked on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Lease] = {}
        self._watched: dict[str, Callable[[], StepInFlight | None]] = {}
        self._thread: threading.Thread | None = None
        self._pause = 0.0
        """Seconds between renewals, as of the last lease: the thread reads no settings, at which it
        could fail.
        """

    @contextmanager
    def keeping(self, lease: Lease) -> Iterator[None]:
        self.keep(lease)
        try:
            yield
        finally:
            self.release(lease)

    def keep(self, lease: Lease) -> None:
        """Until it is released."""
        pause = get_settings().LEASE.total_seconds() * leases.RENEWAL
        with self._lock:
            self._pause = pause
            self._held[_name(lease)] = lease
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_for_ever, name="lease-keeper", daemon=True
                )
                self._thread.start()

    def release(self, lease: Lease) -> None:
        with self._lock:
            del self._held[_name(lease)]
            self._watched.pop(_name(lease), None)

    def watch(self, lease: Lease, in_flight: Callable[[], StepInFlight | None]) -> None:
        """Each time that the lease is renewed, write which step is in flight under it."""
        with self._lock:
            if _name(lease) in self._held:
                self._watched[_name(lease)] = in_flight

    def held(self) -> list[Lease]:
        with self._lock:
            return list(self._held.values())

    def renew(self) -> None:
        """All that is held now, at once."""
        held = self.held()
        leases.renew(held, self._in_flight(held))

    def _renew_for_ever(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._pause)
            if not self.held():
                continue
            try:
                self.renew()
            except Exception:
                logger.exception("leases could not be renewed; trying again")
            finally:
                # Not worth a connection of its own in between.
                connections.close_all()

    def _in_flight(self, held: list[Lease]) -> dict[int, StepInFlight]:
        with self._lock:
            asked = {each.message_id: self._watched.get(_name(each)) for each in held}
        told = {message_id: ask() for message_id, ask in asked.items() if ask is not None}
        return {message_id: step for message_id, step in told.items() if step is not None}


def _name(lease: Lease) -> str:
    return f"{lease.message_id}/{lease.token}"


_keeper = Keeper()


def keeper() -> Keeper:
    return _keeper


def _start_afresh() -> None:
    """A forked child holds no leases of its parent, and has none of its threads."""
    global _keeper
    _keeper = Keeper()


in_forked_children(_start_afresh)
