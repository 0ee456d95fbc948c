"""This project behind the API of Cloudflare's clients: a web server of two processes, as in
production, asked over kept connections.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from statistics import mean
from typing import Any

import django
from django.core.management import call_command

from bench.copies import multiply, settle
from bench.figures import percentile
from bench.jobs import Figures, Job, answer
from bench.processes import answers, free_port, running, wait_until
from bench.web import web_server

django.setup()

from workflows_app.engine.accounts import create_token  # noqa: E402  models need the setup above
from workflows_app.models import Account, Run, Token  # noqa: E402
from workflows_app.rest.pagination import PageRequest, paginate  # noqa: E402

WORKFLOW = "bench-instance"
BATCH, CONNECTIONS = 100, 4
PER_PAGE, SAMPLES = 20, 100
STORED = {"complete": 700, "errored": 200, "waiting": 100}
"""How many of each status there are at first; those that are complete are multiplied."""
STATUSES = {
    "complete": Run.Status.SUCCEEDED,
    "errored": Run.Status.FAILED,
    "waiting": Run.Status.RUNNING,
}
"""As they are stored."""


class Client:
    """One connection."""

    def __init__(self, address: str, token: str) -> None:
        account = Account.objects.default().public_id.hex
        self._root = f"/client/v4/accounts/{account}/workflows/{WORKFLOW}/instances"
        self._connection = HTTPConnection(address)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def create(self, payloads: Sequence[object]) -> int:
        """How many were accepted."""
        body = [{"params": json.dumps(payload)} for payload in payloads]
        return len(self._ask("POST", "/batch", body))

    def seconds_for_page(self, status: str, after: int) -> float:
        """What the page of this status takes that goes on from a run."""
        query = f"?per_page={PER_PAGE}&status={status}&cursor={_cursor_behind(after)}"
        started = time.perf_counter()
        page = self._ask("GET", query)
        took = time.perf_counter() - started
        if len(page) != PER_PAGE:
            raise RuntimeError(f"{len(page)} instances {status} instead of {PER_PAGE}")
        return took

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        encoded = None if body is None else json.dumps(body)
        self._connection.request(method, self._root + path, encoded, self._headers)
        told = json.loads(self._connection.getresponse().read())
        if not told["success"]:
            raise RuntimeError(f"{method} {path}: {told}")
        return told["result"]


@contextmanager
def server() -> Iterator[list[Client]]:
    address = f"127.0.0.1:{free_port()}"
    os.environ["ALLOWED_HOSTS"] = "127.0.0.1"
    token = create_token(Account.objects.default(), "bench", Token.Scope.FULL)
    with running(sys.executable, *web_server(address)):
        wait_until(lambda: answers(address), seconds=20)
        yield [Client(address, token) for _ in range(CONNECTIONS)]


def instances(job: Job) -> Figures:
    """Accepted, from several connections at once; nobody works on them."""
    with server() as clients:
        _create_all(clients, 2 * CONNECTIONS)
        started = time.perf_counter()
        created = _create_all(clients, job.sizes.instances // BATCH)
        took = time.perf_counter() - started
    return {"created": created / took}


def _create_all(clients: list[Client], batches: int) -> int:
    """How many have been created."""

    def create(client: Client) -> int:
        return sum(client.create([{"n": n} for n in range(BATCH)]) for _ in range(share))

    share = batches // len(clients)
    with ThreadPoolExecutor(len(clients)) as pool:
        return sum(pool.map(create, clients))


def listing(job: Job) -> Figures:
    """Pages of each status from random places, among few instances and among many."""
    with server() as (client, *_):
        _store_few(client)
        few = _seconds_by_status(client)
    _multiply(job.sizes.listed)
    with server() as (client, *_):  # the old one would have closed an idle connection
        many = _seconds_by_status(client)
    return {
        "few": mean(few.values()) * 1000,
        "many": mean(many.values()) * 1000,
        "growth": max(many[status] / few[status] for status in STORED),
    }


def _store_few(client: Client) -> None:
    """A thousand in all."""
    for status, count in STORED.items():
        for _ in range(count // BATCH):
            client.create([{"end": status}] * BATCH)
    ended = sum(STORED.values()) - STORED["waiting"]
    runs = Run.objects.exclude(status=Run.Status.RUNNING)
    with running(sys.executable, "manage.py", "qcluster"):
        wait_until(lambda: runs.count() == ended, seconds=60)
        time.sleep(1)  # until those that wait have fallen asleep


def _multiply(count: int) -> None:
    """Let more runs have succeeded, until as many are stored as asked for."""
    times = (count - Run.objects.count()) // STORED["complete"]
    changes = {"id": "", "run_id": "run_id || '-' || copy.n"}
    multiply(Run, times, changes, where=f"status = '{Run.Status.SUCCEEDED}'")
    settle()


def _seconds_by_status(client: Client) -> dict[str, float]:
    """The median of pages of each status that go on from a random instance of it."""
    return {status: _seconds(client, status) for status in STORED}


def _seconds(client: Client, status: str) -> float:
    stored = Run.objects.filter(status=STATUSES[status]).order_by("id")
    keys = stored.values_list("id", flat=True)
    places = list(keys[PER_PAGE:])  # newest first, so those leave a whole page
    chosen = random.choices(places, k=SAMPLES)
    return percentile([client.seconds_for_page(status, after) for after in chosen], 50)


def _cursor_behind(run: int) -> str:
    """As a page has it that ends with this run; there must be an older one."""
    cursor = paginate(Run.objects.filter(pk__lte=run), PageRequest(count=1)).cursor
    assert cursor is not None
    return cursor


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    answer({"instances": instances, "listing": listing})
