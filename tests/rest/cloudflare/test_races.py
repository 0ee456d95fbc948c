"""Requests that come at the same time, over real database sessions."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections, transaction

from tests.engine.test_races import PATIENCE, at_once
from tests.rest.cloudflare.conftest import CloudflareApi, Start, refusal_of
from workflows_app.engine.deleting import delete

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 4
INSTANCE = "shop/instances/order-7"
COMMANDS: list[tuple[str, str, Any]] = [
    ("PATCH", f"{INSTANCE}/status", {"status": "pause"}),
    ("PATCH", f"{INSTANCE}/status", {"status": "resume"}),
    ("PATCH", f"{INSTANCE}/status", {"status": "terminate"}),
    ("PATCH", f"{INSTANCE}/status", {"status": "restart"}),
    ("POST", f"{INSTANCE}/events/paid", {}),
    ("POST", "shop/instances", {"instance_id": "order-7"}),
    ("GET", INSTANCE, None),
    ("DELETE", INSTANCE, None),
]


def test_each_of_the_commands_that_race_for_an_instance_is_done_or_refused(
    cloudflare: CloudflareApi, start: Start
):
    for _ in range(ROUNDS):
        start("order-7", "buy")

        answers = at_once(*(partial(cloudflare.send, *command) for command in COMMANDS))

        statuses = [answer.status_code for answer in answers]
        assert set(statuses) <= {200, 400, 404, 409}, list(zip(COMMANDS, statuses, strict=True))
        cloudflare.delete(INSTANCE)


def test_of_those_that_create_an_instance_at_once_one_does(cloudflare: CloudflareApi, shop: Any):
    create = partial(cloudflare.post, "shop/instances", {"instance_id": "order-7"})

    answers = at_once(*[create] * 4)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 3}


@pytest.mark.postgres
def test_an_event_for_an_instance_that_is_being_deleted_finds_none(
    cloudflare: CloudflareApi, start: Start
):
    run = start("order-7", "buy")

    def send_event() -> Any:
        try:
            return cloudflare.post(f"{INSTANCE}/events/paid", {})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            delete(run)
            sent = pool.submit(send_event)
            wait_until_someone_waits_for_us()

        assert refusal_of(sent.result(PATIENCE))[:2] == (404, 10400)


def wait_until_someone_waits_for_us() -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    end = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        while not cursor.execute(waiting).fetchone()[0]:
            assert time.monotonic() < end
