"""Programs that hold the published SDKs: endpoints that listen, and clients that do as told."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tests.compat.server import Tenant

PATIENCE = 60.0


class SdkError(Exception):
    """What an SDK raised: its class and message, the HTTP status where it has one, and the codes of
    the answer's errors.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.name: str = told["name"]
        self.status: int | None = told.get("status")
        self.codes: list[int] = told.get("codes", [])
        super().__init__(f"{self.name}: {told['message']}")


class Endpoint:
    """A web service that serves workflows; its first line says where."""

    def __init__(
        self, command: list[str], directory: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("listening "):
                break
        else:
            raise AssertionError(f"{command} ended: {log.read_text()[-2000:]}")
        self.port = int(line.split()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        # Whatever else it prints must not fill the pipe.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def stop(self) -> None:
        """Let it answer what it is at work on, as a deployment does."""
        self._process.terminate()
        self._process.wait(30)

    def close(self) -> None:
        """It may have been closed before."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Driver:
    """A program that calls an SDK's clients: a JSON object a line in, and one out for each.

    Calls may be made from several threads at once.
    """

    def __init__(
        self, command: list[str], directory: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, threading.Event] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, url: str, tenant: Tenant, client: str, method: str, **call: Any) -> Any:
        """`method` names attributes from the client on, as "dlq.list". Raises SdkError."""
        request = {
            "url": url,
            "token": tenant.token,
            "keys": [tenant.current_key, tenant.next_key],
            "client": client,
            "method": method,
            **call,
        }
        number, answered = next(self._numbers), threading.Event()
        with self._lock:
            self._waiting[number] = answered
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"number": number, **request}) + "\n")
            self._process.stdin.flush()
        assert answered.wait(PATIENCE), f"no answer within {PATIENCE:g} s: {client}.{method}"
        assert number in self._answers, "the driver ended"
        answer = self._answers.pop(number)
        if "error" in answer:
            raise SdkError(answer["error"])
        return answer.get("result")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed
            for line in self._process.stdout:
                answer = json.loads(line)
                self._answers[answer["number"]] = answer
                self._waiting.pop(answer["number"]).set()
        for waiting in list(self._waiting.values()):
            waiting.set()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
