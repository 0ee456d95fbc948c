"""The pages of the admin over many runs, asked as a superuser, without a network."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import median
from typing import Any
from urllib.parse import urlencode

import django
from django.core.management import call_command

from bench.jobs import Figures, Job, answer

os.environ["ALLOWED_HOSTS"] = "testserver"
django.setup()

from django.contrib.auth.models import User  # noqa: E402  models need the setup above
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from workflows_app.engine.states import State  # noqa: E402
from workflows_app.models import FlowControl, Run, Version  # noqa: E402

ADMIN = "/admin/workflows_app/"
SAMPLES = 10
"""Requests of each page."""
STEPS = 10


def console(job: Job) -> Figures:
    """Each page several times; the first, which fills caches, counts as well."""
    runs = ["--runs", str(job.sizes.console_runs), "--steps-per-run", str(STEPS)]
    call_command("workflows", "seed", "--yes", *runs, stdout=sys.stderr)
    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    client.get(ADMIN)  # loads templates and URLs
    figures: Figures = {}
    for name, addresses in _pages().items():
        seconds = list(chain.from_iterable(_seconds(client, each) for each in addresses))
        figures |= {
            f"{name}_p50": median(seconds) * 1000,
            f"{name}_worst": max(seconds) * 1000,
            f"{name}_queries": max(_queries(client, address) for address in addresses),
        }
    return figures


def _seconds(client: Client, address: str) -> list[float]:
    taken = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        response = client.get(address)
        taken.append(time.perf_counter() - started)
        if response.status_code != 200:
            raise RuntimeError(f"{address}: {response.status_code}")
    return taken


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return len(queries)


def _pages() -> Mapping[str, Sequence[str]]:
    keys = Run.objects.order_by("pk").values_list("pk", flat=True)
    middle = keys[len(keys) // 2]
    run = Run.objects.get(pk=middle)
    days = (run.created_at.date().isoformat(), Run.objects.latest("pk").created_at.date())
    version = Version.objects.filter(definition__name=run.workflow).earliest("pk").pk
    control = FlowControl.objects.earliest("pk").pk
    long = Run.objects.get(run_id="seed-1000-steps").pk
    return {
        "list": [_runs()],
        "deep": [_runs(before=middle), _runs(after=middle)],
        "state": [_runs(status=state) for state in ("live", "stuck", *State)],
        "workflow": [_runs(workflow=name) for name in ("order-fulfillment", "payment-retries")],
        "version": [_runs(workflow=run.workflow, version=version)],
        "label": [_runs(label=label) for label in ("eu", "customer-7", "shop.order/17", "none")],
        "source": [_runs(source=source) for source in ("api", "schedule", "run")],
        "key": [_runs(flow_control=control)],
        "date": [_runs(started="7d"), _runs(**{"from": days[0]}), _runs(to=days[0])],
        "several": [
            _runs(label="eu", workflow="payment-retries", status="failed"),
            _runs(workflow="payment-retries", source="run", status="canceled"),
            _runs(status="failed", **{"from": days[0], "to": days[1]}),
            _runs(workflow="process-image", status="queued"),
        ],
        "search": [_runs(q=term) for term in (run.run_id, run.run_id[:9], "eu", "nothing")],
        "letters": [f"{ADMIN}deadletter/"],
        "overview": [ADMIN, f"{ADMIN}?period=7d"],
        "run": [f"{ADMIN}run/{long}/change/"],
    }


def _runs(**asked: Any) -> str:
    return f"{ADMIN}run/?{urlencode(asked)}"


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    answer({"console": console})
