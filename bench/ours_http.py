"""This project as a server of workflows elsewhere: two worker processes and a web server, as in
production, and an endpoint on the same machine.

Times are those of the stored rows, but for the runs beside slow ones: those are a client's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from urllib.request import Request, urlopen

import django
from django.core.management import call_command
from django.db.models import Max, Min

from bench.endpoint import batch_item
from bench.figures import percentile
from bench.jobs import Figures, Job, answer
from bench.processes import answers, free_port, running, wait_until
from bench.web import web_server

django.setup()

from workflows_app.engine.accounts import create_token  # noqa: E402  models need the setup above
from workflows_app.models import Account, Message, Run, Step, Token  # noqa: E402

SLOW_RUNS, FAST_RUNS = 200, 100
SLOW_SECONDS, FAST_STEPS = 10, 5

_numbers = count(1)


class Site:
    """The server, its workers and the endpoint, at work."""

    def __init__(self, server: str, token: str, endpoint: str) -> None:
        self._server = server
        self._token = token
        self._endpoint = endpoint

    def start(self, path: str, runs: int) -> list[str]:
        """The ids of runs of the workflow at this path of the endpoint, started by one request."""
        url = f"http://{self._endpoint}{path}"
        ids = [f"wfr_{next(_numbers)}" for _ in range(runs)]
        items = b",".join(batch_item(url, run_id, "{}", is_start=True)[1:-1] for run_id in ids)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(f"http://{self._server}/v2/batch", b"[" + items + b"]", headers)
        with urlopen(request) as response:
            response.read()
        return ids

    def work_through(self, path: str, runs: int) -> list[str]:
        """The same, once they have ended."""
        ids = self.start(path, runs)
        wait_until_ended(ids)
        return ids


@contextmanager
def site() -> Iterator[Site]:
    server, endpoint = (f"127.0.0.1:{free_port()}" for _ in range(2))
    os.environ["WORKFLOWS_ALLOW_PRIVATE_ADDRESSES"] = "1"
    os.environ["ALLOWED_HOSTS"] = "127.0.0.1"
    token = create_token(Account.objects.default(), "bench", Token.Scope.FULL)
    with (
        running(sys.executable, "manage.py", "qcluster"),
        running(sys.executable, *web_server(server)),
        running(sys.executable, "-m", "bench.endpoint", endpoint, server, token),
    ):
        wait_until(lambda: answers(server) and answers(endpoint), seconds=20)
        here = Site(server, token, endpoint)
        here.work_through("/steps/2", runs=64)
        yield here


def http(job: Job) -> Figures:
    """Steps a second with so many runs at once, and what a step of a run alone takes."""
    steps = job.sizes.http_steps
    with site() as here:
        alone = [here.work_through(f"/steps/{steps}", 1) for _ in range(job.sizes.http_rounds)]
        rates = {f"at_{runs}": _rate(here, steps, runs) for runs in (16, 64)}
    gaps = [gap for (run_id,) in alone for gap in _gaps(run_id)]
    seconds = sum(_duration(ids) for ids in alone)
    return {
        "at_1": steps * len(alone) / seconds,
        **rates,
        "step_p50": percentile(gaps, 50) * 1000,
    }


def slow(job: Job) -> Figures:
    """Fast runs alone, and beside slow deliveries all of which are still in flight at the end."""
    with site() as here:
        alone = _seconds_for_fast_runs(here)
        slow = here.start(f"/slow/{SLOW_SECONDS}", SLOW_RUNS)
        wait_until(lambda: _in_flight(slow) == SLOW_RUNS, seconds=SLOW_SECONDS)
        beside = _seconds_for_fast_runs(here)
        if (left := _in_flight(slow)) < SLOW_RUNS:
            raise RuntimeError(f"only {left} slow deliveries outlasted the fast runs ({beside} s)")
        wait_until_ended(slow)
    return {"alone": alone * 1000, "beside": beside * 1000, "growth": beside / alone}


def _rate(here: Site, steps: int, runs: int) -> float:
    return steps * runs / _duration(here.work_through(f"/steps/{steps}", runs))


def _seconds_for_fast_runs(here: Site) -> float:
    started = time.perf_counter()
    here.work_through(f"/steps/{FAST_STEPS}", FAST_RUNS)
    return time.perf_counter() - started


def _in_flight(run_ids: list[str]) -> int:
    return Message.objects.filter(run__run_id__in=run_ids).exclude(token=None).count()


def wait_until_ended(run_ids: list[str]) -> None:
    """Raises RuntimeError when one has not succeeded."""
    runs = Run.objects.filter(run_id__in=run_ids)
    wait_until(lambda: not runs.filter(status="running").exists(), seconds=90, every=0.02)
    for run in runs.exclude(status="succeeded")[:1]:
        raise RuntimeError(f"{run.run_id} has {run.status}: {run.error}")


def _duration(run_ids: list[str]) -> float:
    """Seconds from the start of the runs to the end of the last."""
    found = Run.objects.filter(run_id__in=run_ids).aggregate(Min("created_at"), Max("ended_at"))
    seconds: float = (found["ended_at__max"] - found["created_at__min"]).total_seconds()
    return seconds


def _gaps(run_id: str) -> list[float]:
    """Seconds from each step's publication to the next."""
    steps = Step.objects.filter(run__run_id=run_id).order_by("id")
    return [
        (later - earlier).total_seconds()
        for earlier, later in pairwise(steps.values_list("started_at", flat=True))
    ]


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    answer({"http": http, "slow": slow})
