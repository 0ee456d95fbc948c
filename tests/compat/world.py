"""One server, the services that use it, and what the tests do with them."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import requests

from tests.compat import features
from tests.compat.cloudflare.clients import AsyncPython, Client, JavaScript, Python
from tests.compat.installs import node_project
from tests.compat.programs import Driver, Endpoint
from tests.compat.server import MAIN, Server, Tenant, own_database, running
from tests.compat.third_party import ThirdParty
from tests.faults.databases import ROOT

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds in which something has to happen, on a machine that is busy with other things."""
ENDED = ("RUN_SUCCESS", "RUN_FAILED", "RUN_CANCELED")


def eventually(
    ask: Callable[[], T],
    wanted: Callable[[T], object],
    what: str = "",
    patience: float = PATIENCE,
) -> T:
    """The first answer that is wanted."""
    deadline, pause = time.monotonic() + patience, 0.05
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, f"{what or 'it'} did not happen; last: {answer!r}"
        time.sleep(pause)
        pause = min(0.4, pause * 1.5)
    return answer


def unique(name: str) -> str:
    return f"{name}-{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class RunLog:
    """A run as `client.logs` shows it."""

    data: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.data["workflowRunId"])

    @property
    def state(self) -> str:
        return str(self.data["workflowState"])

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def result(self) -> Any:
        """What the route function returned; for a run that succeeded."""
        assert self.state == "RUN_SUCCESS", self.data
        text = self.data.get("workflowRunResponse")
        return None if text is None else json.loads(text)

    @property
    def groups(self) -> list[tuple[str, list[dict[str, Any]]]]:
        return [(group["type"], group["steps"]) for group in self.data["steps"]]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [step for _, steps in self.groups for step in steps]

    def step(self, name: str) -> dict[str, Any]:
        (found,) = [step for step in self.steps if step.get("stepName") == name]
        return found

    @property
    def seconds(self) -> float:
        created, completed = (
            self.data[f"workflowRun{word}At"] for word in ("Created", "Completed")
        )
        return float(completed - created) / 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """What an endpoint remembers of a run."""

    hits: list[dict[str, Any]]
    notes: list[Any]


class World:
    def __init__(
        self, kind: str, server: Server, third: ThirdParty, directory: Path, stack: ExitStack
    ) -> None:
        self.kind = kind
        self.server = server
        self.third = third
        self._directory = directory
        self._stack = stack
        self._lock = threading.RLock()
        self._made: dict[str, object] = {}

    # -- programs, started when first needed

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            return cast(T, self._made[name])

    @property
    def js_project(self) -> Path:
        return self._once("js project", lambda: node_project("js", self._directory))

    @property
    def express(self) -> Endpoint:
        """Every workflow of `js/workflows.mjs`, for each tenant below `/<tenant>/`."""
        return self._once("express", lambda: self.node_endpoint(self.js_project, "endpoint.mjs"))

    @property
    def hono(self) -> str:
        """The address of the same program's Hono app."""
        return str(requests.get(f"{self.express.url}/hono", timeout=30).json()["url"])

    @property
    def fastapi(self) -> Endpoint:
        return self._once("fastapi", lambda: self._python_endpoint("fastapi_app"))

    @property
    def flask(self) -> Endpoint:
        return self._once("flask", lambda: self._python_endpoint("flask_app"))

    @property
    def agents(self) -> Endpoint:
        return self._once(
            "agents",
            lambda: self.node_endpoint(node_project("agents", self._directory), "endpoint.mjs"),
        )

    @property
    def js(self) -> Driver:
        command = ["node", "driver.mjs"]
        return self._once("js driver", lambda: self.driver(command, self.js_project))

    @property
    def python(self) -> Driver:
        command = [sys.executable, "-m", "tests.compat.python.driver"]
        return self._once("python driver", lambda: self.driver(command, ROOT))

    @property
    def cloudflare_js(self) -> Driver:
        command = ["node", "cloudflare.mjs"]
        return self._once("cloudflare driver", lambda: self.driver(command, self.js_project))

    def driver(self, command: list[str], directory: Path, **environment: str) -> Driver:
        driver = Driver(command, directory, environment, self._log(unique("driver")))
        self._stack.callback(driver.close)
        return driver

    def node_endpoint(self, project: Path, script: str, **changes: str) -> Endpoint:
        environment = {**self.environment(), **changes}
        log = self._log(f"{project.name}-{script}")
        endpoint = Endpoint(["node", script], project, environment, log)
        self._stack.callback(endpoint.close)
        return endpoint

    def _python_endpoint(self, module: str) -> Endpoint:
        command = [sys.executable, "-m", f"tests.compat.python.{module}"]
        endpoint = Endpoint(command, ROOT, self.environment(), self._log(module))
        self._stack.callback(endpoint.close)
        return endpoint

    def environment(self) -> dict[str, str]:
        """Of an endpoint: what `workflows dev` printed, so that signatures are verified."""
        main = self.server.main
        tenants = {
            name: {"token": one.token, "currentKey": one.current_key, "nextKey": one.next_key}
            for name, one in self.server.tenants.items()
            if ":" not in name
        }
        return {
            "QSTASH_URL": self.server.url,
            "QSTASH_TOKEN": main.token,
            "QSTASH_CURRENT_SIGNING_KEY": main.current_key,
            "QSTASH_NEXT_SIGNING_KEY": main.next_key,
            "THIRD_PARTY": self.third.url,
            "TENANTS": json.dumps(tenants),
        }

    def directory(self, name: str) -> Path:
        """A new one."""
        made = self._directory / unique(name)
        made.mkdir()
        return made

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    # -- clients

    def tenant(self, name: str) -> Tenant:
        return self.server.tenants[name]

    def workflow(self, method: str, *args: Any, tenant: str = MAIN, **call: Any) -> Any:
        """A method of `new Client()` of @upstash/workflow."""
        return self._js("workflow", method, args, tenant, call)

    def qstash(self, method: str, *args: Any, tenant: str = MAIN, **call: Any) -> Any:
        """A method of `new Client()` of @upstash/qstash; of a `queue`, if one is named."""
        return self._js("qstash", method, args, tenant, call)

    def _js(
        self, client: str, method: str, args: tuple[Any, ...], tenant: str, call: dict[str, Any]
    ) -> Any:
        owner = self.tenant(tenant)
        return self.js.call(self.server.url, owner, client, method, args=list(args), **call)

    def py(
        self, method: str, /, *args: Any, tenant: str = MAIN, shell: str = "sync", **kwargs: Any
    ) -> Any:
        """A method of `QStash()`, or of `AsyncQStash()`, of the Python package qstash."""
        return self.python.call(
            self.server.url, self.tenant(tenant), shell, method, args=list(args), kwargs=kwargs
        )

    def cloudflare(
        self, sdk: str, tenant: str | None = None, account_of: str | None = None
    ) -> Client:
        """A new client, of an account that this SDK has for itself if no tenant is named; it may
        address the account of another.
        """
        url = f"{self.server.url}/client/v4"
        owner = self.tenant(tenant or features.CLOUDFLARE_TENANTS[sdk])
        if account_of is not None:
            owner = replace(owner, account_id=self.tenant(account_of).account_id)
        client: Client
        match sdk:
            case features.CLOUDFLARE_JS:
                client = JavaScript(url, owner, self.cloudflare_js, unique("cloudflare"))
            case features.ASYNC_CLOUDFLARE_PY:
                client = AsyncPython(url, owner)
            case _:
                client = Python(url, owner)
        self._stack.callback(client.close)
        return client

    def http(
        self, method: str, path: str, *, tenant: str = MAIN, **options: Any
    ) -> requests.Response:
        """A request of the REST API that no SDK has a method for."""
        headers = {
            "Authorization": f"Bearer {self.tenant(tenant).token}",
            **options.pop("headers", {}),
        }
        return requests.request(
            method, f"{self.server.url}{path}", headers=headers, timeout=30, **options
        )

    # -- runs

    def url(self, workflow: str, tenant: str = MAIN) -> str:
        return f"{self.express.url}/{tenant}/{workflow}"

    def trigger(self, workflow: str, body: Any = None, tenant: str = MAIN, **options: Any) -> str:
        """Start a workflow of the Express app; the id of its run."""
        options.setdefault("url", self.url(workflow, tenant))
        if body is not None:
            options["body"] = body
        return str(self.workflow("trigger", options, tenant=tenant)["workflowRunId"])

    def run(self, workflow: str, body: Any = None, tenant: str = MAIN, **options: Any) -> RunLog:
        """Start a workflow of the Express app, and wait for its end."""
        return self.end_of(self.trigger(workflow, body, tenant, **options), tenant)

    def log(self, run_id: str, tenant: str = MAIN) -> RunLog | None:
        """The newest run of this id."""
        runs = self.workflow("logs", {"workflowRunId": run_id}, tenant=tenant)["runs"]
        return RunLog(runs[0]) if runs else None

    def wait_for(
        self, run_id: str, wanted: Callable[[RunLog], object], tenant: str = MAIN
    ) -> RunLog:
        found = eventually(
            lambda: self.log(run_id, tenant), lambda log: log is not None and wanted(log), run_id
        )
        assert found is not None
        return found

    def end_of(self, run_id: str, tenant: str = MAIN) -> RunLog:
        return self.wait_for(run_id, lambda log: log.ended, tenant)

    def wait_until_waiting(self, run_id: str, step: str, tenant: str = MAIN) -> RunLog:
        """Until the run is at this step, which is in progress."""

        def at_step(log: RunLog) -> bool:
            return any(
                one.get("stepName") == step and one["state"] == "STEP_PROGRESS" for one in log.steps
            )

        return self.wait_for(run_id, at_step, tenant)

    def notify(self, event: str, data: Any = None, tenant: str = MAIN) -> list[dict[str, Any]]:
        """Once somebody waits for it: what nobody waits for is lost."""
        self.waiters(event, lambda found: bool(found), tenant)
        return cast(
            "list[dict[str, Any]]",
            self.workflow("notify", {"eventId": event, "eventData": data}, tenant=tenant),
        )

    def waiters(
        self, event: str, wanted: Callable[[list[dict[str, Any]]], bool], tenant: str = MAIN
    ) -> list[dict[str, Any]]:
        """Those of an event, once they are as wanted."""
        return eventually(
            lambda: self.workflow("getWaiters", {"eventId": event}, tenant=tenant), wanted, event
        )

    def seen(self, run_id: str, endpoint: Endpoint | None = None) -> Seen:
        """What the Express app, or another endpoint, remembers of this run."""
        url = (endpoint or self.express).url
        return Seen(**requests.get(f"{url}/seen/{run_id}", timeout=30).json())

    def hits(self, run_id: str, endpoint: Endpoint | None = None) -> int:
        return len(self.seen(run_id, endpoint).hits)


@contextmanager
def world_on(kind: str, directory: Path) -> Iterator[World]:
    with ExitStack() as stack:
        database = stack.enter_context(own_database(kind, directory))
        server = stack.enter_context(running(database, directory))
        third = ThirdParty()
        stack.callback(third.close)
        yield World(kind, server, third, directory, stack)
