"""Somebody else's HTTP API, which workflows call and messages go to; it remembers its requests.

/status/<code>[?sleep=<ms>]  answers "<code> <reason>"
/echo                        the request as JSON
/binary  /empty  /bytes/<n>  256 different bytes; nothing; a text of n bytes
/flaky/<name>/<n>            fails with 500 the first n times, then answers "up again"
/sink/<name>                 "received"
/later/<name>/<seconds>      429 with Retry-After once, then "up again"
/v1/...                      a language model, see `tests.compat.model`
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.compat import model


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    at: float
    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),)


class ThirdParty:
    def __init__(self) -> None:
        self._received: defaultdict[str, list[Received]] = defaultdict(list)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def received(self, path: str) -> list[Received]:
        """What came for this path, oldest first."""
        with self._lock:
            return list(self._received[path])

    def answer(self, request: Received) -> Reply:
        parts = urlsplit(request.path)
        with self._lock:
            self._received[parts.path].append(request)
            earlier = len(self._received[parts.path]) - 1
        return _reply(request, parts.path.strip("/").split("/"), parse_qs(parts.query), earlier)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _reply(request: Received, path: list[str], query: dict[str, list[str]], earlier: int) -> Reply:
    match path:
        case ["status", code]:
            time.sleep(int(query.get("sleep", ["0"])[0]) / 1000)
            return _status(int(code))
        case ["echo"]:
            return _json(
                {
                    "method": request.method,
                    "query": query,
                    "headers": request.headers,
                    "body": request.text,
                }
            )
        case ["binary"]:
            return Reply(
                body=bytes(range(256)), headers=(("Content-Type", "application/octet-stream"),)
            )
        case ["empty"]:
            return Reply(headers=(("X-Twice", "one"), ("X-Twice", "two")))
        case ["bytes", size]:
            return Reply(body=b"x" * int(size))
        case ["flaky", _, failures]:
            return _status(500) if earlier < int(failures) else Reply(body=b"up again")
        case ["never", *_]:
            return Reply(status=489, headers=(("Upstash-NonRetryable-Error", "true"),))
        case ["later", _, seconds]:
            return _later(seconds) if earlier == 0 else Reply(body=b"up again")
        case ["v1", *_]:
            return _json(model.answer(request.json))
        case _:
            return Reply(body=b"received")


def _status(code: int) -> Reply:
    return Reply(status=code, body=f"{code} {HTTPStatus(code).phrase}".encode())


def _later(seconds: str) -> Reply:
    return Reply(status=429, body=b"later", headers=(("Retry-After", seconds),))


def _json(value: Any) -> Reply:
    return Reply(body=json.dumps(value).encode(), headers=(("Content-Type", "application/json"),))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: ThirdParty) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # whoever asked did not wait
            self.close_connection = True

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.owner.answer(
            Received(
                at=time.time(),
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
        )
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if reply.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        pass
