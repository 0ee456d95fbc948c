"""Requests that leave this server: over kept connections, in bounded time and size, and unless the
settings allow it, to public addresses only.

A host name is resolved once for each connection, and the connection goes to one of the addresses
that were checked; a name that changes its address in between gains nothing. Time spent in the
system's resolver is the only time that the timeout of a request does not bound.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, NamedTuple

import certifi
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.exceptions import TimeoutError as PoolTimeoutError
from urllib3.response import HTTPResponse
from urllib3.util import parse_url
from urllib3.util.connection import create_connection

from workflows_app.conf import get_settings
from workflows_app.errors import InvalidUrl
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.exchange import (
    Answer,
    Outgoing,
    SendFailed,
    canonical_header,
    is_hop_by_hop,
)
from workflows_app.protocol.urls import check_url, is_public

_USER_AGENT = "Upstash-QStash"
_CONNECT_SECONDS = 10.0
_LONGEST_SECONDS = 86_400.0
_CHUNK_BYTES = 64 * 1024
_HOSTS_KEPT = 64

_AFTER_AUTHORITY = re.compile(r"[^:]+://[^/?#]*([^#]*)")


class HttpSender:
    """Sends requests from any number of threads. Redirects are answers like any other.

    `max_response_bytes` counts the body as it comes over the wire; compressed bodies are not asked
    for, and not unpacked.
    """

    def __init__(
        self, *, allow_private: bool, max_response_bytes: int, connections_per_host: int = 32
    ) -> None:
        self._max_response_bytes = max_response_bytes
        self._pools = PoolManager(
            num_pools=_HOSTS_KEPT, maxsize=connections_per_host, ssl_context=tls_context()
        )
        permits = (lambda _: True) if allow_private else is_public
        self._pools.pool_classes_by_scheme = _pool_classes(permits)

    def send(self, request: Outgoing) -> Answer:
        """Make the exchange. Raises SendFailed when it gives no answer of any status."""
        target = _target(request.url)
        seconds = min(request.timeout.total_seconds(), _LONGEST_SECONDS)
        deadline = time.monotonic() + seconds
        if seconds <= 0:
            raise SendFailed("timeout", f"There was no time left to send to {target.host}.")
        try:
            return self._exchange(request, target, seconds)
        except (HTTPError, http.client.HTTPException, OSError) as error:
            if isinstance(error, PoolTimeoutError) or time.monotonic() >= deadline:
                allowed = format_duration(timedelta(seconds=seconds))
                raise SendFailed(
                    "timeout", f"{target.host} did not answer in full within {allowed}."
                ) from None
            raise SendFailed("unreachable", f"{target.host}: {_reason(error)}") from None
        except ValueError as error:
            raise SendFailed("forbidden", f"HTTP does not allow this request: {error}.") from None

    def _exchange(self, request: Outgoing, target: _Target, seconds: float) -> Answer:
        pool = self._pools.connection_from_host(target.host, target.port, target.scheme)
        response = pool.urlopen(
            request.method,
            target.path,
            body=request.body,
            headers=_headers(request.headers),
            timeout=Timeout(total=seconds),
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = self._body(response, target.host)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        names = list(response.headers)
        headers = {canonical_header(name): response.headers.getlist(name) for name in names}
        return Answer(status=response.status, headers=headers, body=body)

    def _body(self, response: BaseHTTPResponse, host: str) -> bytes:
        body = bytearray()
        for chunk in response.stream(_CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > self._max_response_bytes:
                raise SendFailed(
                    "forbidden",
                    f"The answer of {host} is larger than the {self._max_response_bytes} bytes "
                    "that MAX_PAYLOAD_BYTES allows.",
                )
        return bytes(body)


def default_sender() -> HttpSender:
    """The sender that follows the settings; its connections are shared within this process."""
    settings = get_settings()
    return _sender(
        allow_private=settings.ALLOW_PRIVATE_ADDRESSES,
        max_response_bytes=settings.MAX_PAYLOAD_BYTES,
        connections_per_host=settings.EXCHANGES,
    )


@lru_cache
def _sender(**settings: Any) -> HttpSender:
    return HttpSender(**settings)


# Two processes must not read from the same connection.
os.register_at_fork(after_in_child=_sender.cache_clear)


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int | None
    path: str


def _target(url: str) -> _Target:
    """Where a URL leads; its path is left as it was written, "//" and "/../" included."""
    try:
        parts = parse_url(check_url(url))
    except InvalidUrl as error:
        raise SendFailed("forbidden", error.message) from None
    except LocationParseError:
        raise SendFailed("forbidden", "The URL has no host name that can be looked up.") from None
    match = _AFTER_AUTHORITY.match(url)
    path = match[1] if match else ""
    absolute = path if path.startswith("/") else f"/{path}"
    return _Target(parts.scheme or "", parts.host or "", parts.port, absolute)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    headers = {name: _on_the_wire(given[name]) for name in given if not is_hop_by_hop(name)}
    if not any(name.lower() == "user-agent" for name in headers):
        headers["User-Agent"] = _USER_AGENT
    return headers


def _on_the_wire(value: str) -> str:
    """HTTP encodes headers as Latin-1; what does not fit goes out as UTF-8 bytes."""
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode().decode("latin-1")
    return value


def _reason(error: Exception) -> str:
    """Libraries wrap the cause as the last argument, behind phrases of their own."""
    inner = error.args[-1] if error.args else error
    return str(inner).rstrip(".") + "."


@lru_cache
def tls_context() -> ssl.SSLContext:
    """Trusts the usual authorities, also where the system has no list, and those of the system."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


class _Connection(HTTPConnection):
    """Connects to permitted addresses only, and reads until a deadline, however slow the bytes."""

    permits: ClassVar[Callable[[str], bool]]

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        # By now, `timeout` is what is left of the request's total.
        deadline = time.monotonic() + (self.timeout or _LONGEST_SECONDS)
        self.response_class = partial(_TimedResponse, deadline=deadline)  # type: ignore[assignment]
        return super().getresponse()

    def _new_conn(self) -> socket.socket:
        timeout = self.timeout or _LONGEST_SECONDS
        deadline = time.monotonic() + min(timeout, _CONNECT_SECONDS)
        failure: OSError = TimeoutError("timed out")
        for address in self._permitted_addresses():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            try:
                connected = create_connection(
                    (address, self.port), remaining, socket_options=self.socket_options
                )
            except OSError as error:
                failure = error
            else:
                connected.settimeout(timeout)
                return connected
        kind: Literal["timeout", "unreachable"] = (
            "timeout" if isinstance(failure, TimeoutError) else "unreachable"
        )
        raise SendFailed(kind, f"{self.host}: {_reason(failure)}")

    def _permitted_addresses(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise SendFailed("unreachable", f"{self.host}: there is no such host.") from None
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        permitted = [address for address in addresses if type(self).permits(address)]
        if not permitted:
            raise SendFailed(
                "forbidden",
                f"{self.host} has no public address; to send there all the same, switch on "
                "ALLOW_PRIVATE_ADDRESSES in the setting WORKFLOWS.",
            )
        return permitted


class _TimedResponse(http.client.HTTPResponse):
    """A response that is read through a `_DeadlineReader`, from its first line on."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _DeadlineReader(self.fp.detach(), sock, deadline)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        if self._reader.ended:  # which the library takes for the end of the headers
            raise http.client.RemoteDisconnected("The connection ended within the headers")


class _DeadlineReader(io.RawIOBase):
    """Gives each read only the time that is left; a socket's own timeout begins anew each time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._socket = sock
        self._deadline = deadline
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(remaining)
        count: int | None = self._raw.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pool_classes(permits: Callable[[str], bool]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Connection):
        pass

    class Encrypted(_Connection, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    Plain.permits = Encrypted.permits = staticmethod(permits)
    return {"http": PlainPool, "https": EncryptedPool}
