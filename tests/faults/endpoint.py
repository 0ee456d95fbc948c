"""`python -m tests.faults.endpoint PORT SERVER TOKEN`: workflows of an endpoint elsewhere.

Speaks the protocol of the SDKs with the server's API over HTTP, and tells two files what befell:
the side file of each step that it executes, and another of each step list that it is delivered.
Now and then it answers that it has failed, or answers late, after all has been published.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from tests.remote.programs import Delivery, Does, Program, call, invoke, run, wait
from workflows_app.protocol.exchange import Answer, Outgoing, canonical_header

SIDE_FILE = "FAULTS_SIDE_FILE"
LISTS = "FAULTS_LISTS"
LATE = "FAULTS_LATE"
"""Seconds that a late answer takes."""
LATE_ONE_IN, FAILS_ONE_IN = 150, 15
HOST = "127.0.0.1"
EVENT = "go"


def tell(variable: str, *words: object) -> None:
    append = os.open(os.environ[variable], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(append, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(append)


class Server:
    """The server's API, for a Program. What it does not take for good raises."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(maxsize=32, retries=False, timeout=20)

    def _send(self, method: str, path: str, body: str, headers: dict[str, str]) -> Any:
        answer = self._pool.request(
            method, self._url + path, body=body, headers={**self._headers, **headers}
        )
        # 400: the run has ended meanwhile.
        if answer.status >= 300 and answer.status != 400:
            raise ConnectionError(f"{method} {path}: {answer.status} {answer.data!r}")
        return Published(answer.status, answer.data)


@dataclass
class Published:
    status_code: int
    data: bytes

    def json(self) -> str:
        return self.data.decode(errors="replace")


class Told(Program):
    """A program that tells of its executions, and notifies its own runs."""

    def _execute(self, delivery: Delivery, step_id: int, does: Does, of: int) -> None:
        run_id = self._run(delivery)
        tell(SIDE_FILE, time.time(), run_id, does.name, os.getpid(), "once")
        if does.type == "Notify":
            self._send("POST", f"/v2/notify/{run_id}/{EVENT}", "yes")
        super()._execute(delivery, step_id, does, of)

    def child_of(self, delivery: Delivery, does: Does) -> str:
        return f"child-of-{self._run(delivery)}"


def programs(server: Server, base: str) -> dict[str, Program]:
    steps: list[Does | Sequence[Does]] = [
        run("first", 1),
        [run("left", 2), run("middle", 3), run("right", 4)],
        call("ask", f"{base}/third", Upstash_Retries="1000", Upstash_Retry_Delay="300"),
        [wait("wait", EVENT, "1h"), Does(name="notify", type="Notify")],
        invoke("child", f"{base}/child"),
        run("last", 5),
    ]
    api: Any = server
    return {
        "/parent": Told(api, f"{base}/parent", *steps, returns='"done"'),
        "/child": Told(api, f"{base}/child", run("inner"), returns='"grown"'),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: dict[str, Program]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        named = {canonical_header(name): value for name, value in self.headers.items()}
        answer = self._answer(named, body)
        if random.randrange(LATE_ONE_IN) == 0:
            time.sleep(float(os.environ[LATE]))
        self.send_response(answer.status)
        for name, values in answer.headers.items():
            self.send_header(name, values[0])
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST  # noqa: N815 - as the library wants it

    def _answer(self, headers: dict[str, str], body: bytes) -> Answer:
        failed = Answer(status=500, headers={}, body=b"{}")
        if self.path == "/third":
            return (
                failed if random.randrange(3) == 0 else Answer(status=200, headers={}, body=b"ok")
            )
        request: Any = Outgoing(
            method="POST",
            url=self.path,
            headers=headers,
            body=body,
            timeout=None,  # type: ignore[arg-type]
        )
        self._tell_list(Delivery(request))
        try:
            answer = self.served[self.path].answer(request)
        except (ConnectionError, urllib3.exceptions.HTTPError):
            return failed
        return failed if random.randrange(FAILS_ONE_IN) == 0 else answer

    def _tell_list(self, delivery: Delivery) -> None:
        headers = delivery.headers
        if "Upstash-Workflow-Callback" not in headers:
            listed = [each["messageId"] for each in delivery.elements]
            own = headers["Upstash-Message-Id"]
            tell(LISTS, headers["Upstash-Workflow-Runid"], own, ",".join(listed))

    def log_message(self, *_: object) -> None:
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    port, server_url, token = sys.argv[1:]
    Handler.served = programs(Server(server_url, token), f"http://{HOST}:{port}")
    Listener((HOST, int(port)), Handler).serve_forever()
