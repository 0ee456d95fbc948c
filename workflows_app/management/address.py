"""Where a development server listens."""

from __future__ import annotations

import errno
import os
import socket
import time
from dataclasses import dataclass

from django.core.management import CommandError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
"""Under which address a machine reaches what listens on all of its own."""
PATIENCE = 2.0
"""Seconds in which a server that has just been ended gives its port back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    host: str
    port: int

    @property
    def reached_at(self) -> str:
        """The host for connections from this machine."""
        return EVERYWHERE.get(self.host, self.host)

    @property
    def url(self) -> str:
        return f"http://{_in_url(self.reached_at)}:{self.port}"

    @property
    def is_private(self) -> bool:
        return self.host in ("127.0.0.1", "localhost", "::1")

    def __str__(self) -> str:
        return f"{_in_url(self.host)}:{self.port}"


def free_address(host: str, port: int) -> Address:
    """The address, if a server can listen there now; port 0 chooses one. Raises CommandError."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return Address(host=host, port=_bind(host, port))
        except socket.gaierror:
            raise CommandError(f"{host} is not the name or address of a host") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise CommandError(_refusal(host, port, error)) from None
        time.sleep(0.1)


def _bind(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)
        bound: int = trial.getsockname()[1]
        return bound


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use; end what listens there, or choose another with "
            "--port (0 takes any that is free)"
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"nothing can listen on port {port} of {host}: {reason.lower()}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
