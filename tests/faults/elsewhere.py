"""Runs whose endpoint is elsewhere: the server's web process, the endpoint, and what triggers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from tests.faults.conftest import LEASE, Scene
from tests.faults.databases import ROOT
from tests.faults.processes import wait_until
from tests.remote.programs import FEATURES

HOST = "127.0.0.1"
LATE = LEASE + 1.5
"""Seconds that the endpoint takes for a late answer."""

PARENT_STEPS = {
    *("1", "2", "2:plan", "3", "3:plan", "4", "4:plan"),
    *("5:sent", "5:answered", "5"),
    *("6", "6:plan", "7", "7:plan", "8", "9"),
}
CHILD_STEPS = {"1"}
EXECUTED = {"first", "left", "middle", "right", "ask", "wait", "notify", "child", "last"}


class Service:
    """A process that listens on a port, started again whenever it ends, as by a supervisor."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, port: int
    ) -> None:
        self._command, self._environment, self._log = command, dict(environment), log
        self._port = port
        self._wanted = True
        self._process = self._start()
        threading.Thread(target=self._supervise, daemon=True).start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *self._command],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
            )

    def _supervise(self) -> None:
        while self._wanted:
            self._process.wait()
            if self._wanted:
                self._process = self._start()

    def kill(self) -> None:
        self._process.kill()

    def wait_until_listening(self, seconds: float = 20) -> None:
        wait_until(self._is_listening, seconds, f"a process at port {self._port}")

    def _is_listening(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self._port), 1):
            return True
        return False

    def end(self) -> None:
        self._wanted = False
        self._process.kill()
        self._process.wait()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Elsewhere:
    """The processes beside the cluster, and the runs that were accepted over HTTP."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self._scene = scene
        self._lists = directory / "lists.txt"
        self._stack = ExitStack()
        self._stopped = threading.Event()
        self.accepted: list[str] = []
        ports = free_port(), free_port()
        self.server_url, self.endpoint_url = (f"http://{HOST}:{port}" for port in ports)
        self._environment = scene.environment(
            ALLOWED_HOSTS=HOST, FAULTS_LISTS=str(self._lists), FAULTS_LATE=str(LATE)
        )
        self._token = self._make_token()
        self.web = self._service(
            ports[0], "manage.py", "runserver", "--noreload", f"{HOST}:{ports[0]}"
        )
        self.endpoint = self._service(
            ports[1],
            *("-m", "tests.faults.endpoint", str(ports[1]), self.server_url, self._token),
        )
        self.web.wait_until_listening()
        self.endpoint.wait_until_listening()

    def _make_token(self) -> str:
        command = [sys.executable, "manage.py", "workflows", "token", "create", "faults"]
        made = subprocess.run(
            command, cwd=ROOT, env=self._environment, check=True, timeout=30, capture_output=True
        )
        return made.stdout.decode().split()[0]

    def _service(self, port: int, *command: str) -> Service:
        service = Service(command, self._environment, self._scene.log(), port)
        self._stack.callback(service.end)
        return service

    def close(self) -> None:
        self._stopped.set()
        self._stack.close()

    # -- triggering

    def start_triggering(self, pause: float) -> Callable[[], None]:
        """Until the function that this returns is called."""
        thread = threading.Thread(target=self._trigger_many, args=[pause], daemon=True)
        thread.start()

        def stop() -> None:
            self._stopped.set()
            thread.join(20)

        return stop

    def _trigger_many(self, pause: float) -> None:
        number = 0
        while not self._stopped.wait(pause):
            number += 1
            with suppress(OSError, HTTPException):
                self.accepted.append(self._trigger(f"parent-{number}"))

    def _trigger(self, run_id: str) -> str:
        url = f"{self.endpoint_url}/parent"
        headers = {
            "Upstash-Workflow-Init": "true",
            "Upstash-Workflow-RunId": run_id,
            "Upstash-Workflow-Url": url,
            "Upstash-Feature-Set": FEATURES,
            "Upstash-Forward-Upstash-Workflow-Sdk-Version": "1",
            "Upstash-Retries": "1000",
            "Upstash-Retry-Delay": "300",
        }
        body = json.dumps([{"destination": url, "headers": headers, "body": "{}"}])
        request = Request(f"{self.server_url}/v2/batch", body.encode(), method="POST")
        request.add_header("Authorization", f"Bearer {self._token}")
        with urlopen(request, timeout=10):
            return run_id

    def wait_for_progress(self, seconds: float) -> None:
        """Until a step has been executed after this moment."""
        now = time.time()
        wait_until(
            lambda: any(each.at > now for each in self._scene.executions()[-5:]),
            seconds,
            "another step",
        )

    # -- what must hold in the end

    def check(self) -> None:
        """Every accepted run has succeeded with all its steps, each there once; deliveries had the
        journal up to their own message; nothing is owed or waited for.
        """
        query = self._scene.database.query
        runs = query("SELECT id, run_id, url, status FROM workflows_app_run")
        assert {status for *_, status in runs} == {"succeeded"}
        assert set(self.accepted) <= {run_id for _, run_id, *_ in runs}
        assert self._scene.count("workflows_app_message", "kind <> 'pruning'") == 0
        for table in ("waiter", "event", "deadletter"):
            assert self._scene.count(f"workflows_app_{table}") == 0
        journals: dict[int, list[tuple[int, str]]] = {pk: [] for pk, *_ in runs}
        for pk, run_pk, key in query("SELECT id, run_id, key FROM workflows_app_step ORDER BY id"):
            journals[run_pk].append((pk, key))
        for pk, _, url, _ in runs:
            keys = [key for _, key in journals[pk]]
            assert sorted(keys) == sorted(PARENT_STEPS if url.endswith("/parent") else CHILD_STEPS)
        self._check_executions(runs)
        self._check_waits()
        self._check_lists({run_id: (pk, journals[pk]) for pk, run_id, *_ in runs})
        self._scene.check_never_locked()

    def _check_executions(self, runs: list[tuple[int, str, str, str]]) -> None:
        done = {(each.run_id, each.step) for each in self._scene.executions()}
        parents = [run_id for _, run_id, url, _ in runs if url.endswith("/parent")]
        assert {(run_id, step) for run_id in parents for step in EXECUTED} <= done
        assert (
            len(parents)
            == len(runs) - len(parents)
            == self._scene.count("workflows_app_invocation")
        )

    def _check_waits(self) -> None:
        waits = self._scene.database.query("SELECT raw FROM workflows_app_step WHERE kind = 'wait'")
        said = [json.loads(bytes(raw)) for (raw,) in waits]
        assert {(each["waitTimeout"], each["out"]) for each in said} == {(False, "eWVz")}

    def _check_lists(self, journals: dict[str, tuple[int, list[tuple[int, str]]]]) -> None:
        lines = [line.split() for line in self._lists.read_text().splitlines()]
        assert lines
        for run_id, own, listed in lines:
            pk, steps = journals[run_id]
            whole = [f"msg_r{pk}", *(f"msg_s{step_pk}" for step_pk, _ in steps)]
            found = listed.split(",")
            assert found == whole[: len(found)]
            assert found[-1] == own
