"""`/healthz`, `/readyz` and `/v2/liveness`: all without a token."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from tests.conftest import Clock
from tests.rest.conftest import Api, answer_of
from workflows_app.engine import leases
from workflows_app.models import Account, Message
from workflows_app.rest import health

pytestmark = pytest.mark.django_db


@pytest.fixture
def anyone() -> Client:
    return Client()


def test_an_idle_server_is_well(anyone: Client):
    assert answer_of(anyone.get("/healthz")) == (
        200,
        {"status": "ok", "lagSeconds": 0.0, "limitSeconds": 60.0},
    )


def test_due_work_may_wait_for_a_while(anyone: Client, api: Api, hello, clock: Clock):
    api.post(f"/v2/trigger/{hello}")
    clock.advance("1m")

    assert answer_of(anyone.get("/healthz")) == (
        200,
        {"status": "ok", "lagSeconds": 60.0, "limitSeconds": 60.0},
    )


def test_due_work_that_waits_for_too_long_is_a_failure(
    anyone: Client, api: Api, hello, clock: Clock, settings
):
    settings.WORKFLOWS = {"READY_LAG": "5s"}
    api.post(f"/v2/trigger/{hello}")
    clock.advance("6s")

    assert answer_of(anyone.get("/healthz")) == (
        503,
        {"status": "behind", "lagSeconds": 6.0, "limitSeconds": 5.0},
    )


def test_work_that_is_not_due_does_not_wait(anyone: Client, api: Api, hello, clock: Clock):
    api.post(f"/v2/trigger/{hello}", upstash_delay="1h")
    clock.advance("59m")

    assert answer_of(anyone.get("/healthz"))[1]["lagSeconds"] == 0.0


def test_work_that_is_done_does_not_wait(anyone: Client, api: Api, hello, clock: Clock):
    api.post(f"/v2/trigger/{hello}")
    clock.advance("1h")
    leases.claim(1)

    assert anyone.get("/healthz").status_code == 200


def limited(api: Api, url: str, times: int) -> None:
    for _ in range(times):
        api.post(
            f"/v2/trigger/{url}",
            upstash_flow_control_key="one-at-a-time",
            upstash_flow_control_value="parallelism=1",
        )


def test_what_waits_for_its_flow_control_waits_by_right(
    anyone: Client, api: Api, hello, clock: Clock
):
    limited(api, hello, times=2)
    clock.advance("1h")
    leases.claim(1)

    assert answer_of(anyone.get("/healthz"))[1]["status"] == "ok"


def test_what_waits_for_its_account_s_parallelism_waits_by_right(
    anyone: Client, api: Api, account: Account, hello, clock: Clock
):
    Account.objects.filter(pk=account.pk).update(parallelism=1)
    for _ in range(2):
        api.post(f"/v2/trigger/{hello}")
    clock.advance("1h")
    leases.claim(1)

    assert answer_of(anyone.get("/healthz"))[1]["status"] == "ok"


def test_limited_work_that_nobody_takes_is_a_failure(
    anyone: Client, api: Api, hello, clock: Clock, monkeypatch
):
    monkeypatch.setattr(health, "SECOND_LOOK", 0)
    limited(api, hello, times=1)
    clock.advance("1h")

    assert answer_of(anyone.get("/healthz")) == (
        503,
        {"status": "behind", "lagSeconds": 3600.0, "limitSeconds": 60.0},
    )


def test_limited_work_that_goes_on_is_no_failure(
    anyone: Client, api: Api, hello, clock: Clock, monkeypatch
):
    """Between two looks another message has become the oldest."""
    limited(api, hello, times=2)
    Message.objects.filter(pk=Message.objects.latest("pk").pk).update(
        due_at=clock.now + timedelta(seconds=1)
    )
    clock.advance("1h")
    meanwhile = SimpleNamespace(sleep=lambda _: Message.objects.earliest("pk").delete())
    monkeypatch.setattr(health, "time", meanwhile)

    assert answer_of(anyone.get("/healthz"))[1]["status"] == "ok"


def test_a_migrated_server_is_ready(anyone: Client):
    assert answer_of(anyone.get("/readyz")) == (200, {"status": "ready"})


def test_a_server_that_lacks_migrations_is_not_ready(anyone: Client, monkeypatch):
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["one"])

    assert answer_of(anyone.get("/readyz")) == (503, {"status": "not migrated"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_without_a_database_neither_is_well(anyone: Client, monkeypatch, path: str):
    def fail(*_: object) -> None:
        raise OperationalError("secret host refused the password")

    monkeypatch.setattr(CursorWrapper, "execute", fail)

    assert answer_of(anyone.get(path)) == (
        503,
        {"error": "the database is not available; try again"},
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v2/liveness"])
def test_load_balancers_may_ask_for_the_head_alone(anyone: Client, path: str):
    response = anyone.head(path)

    assert (response.status_code, response.content) == (200, b"")


def test_the_server_lives(anyone: Client):
    assert answer_of(anyone.get("/v2/liveness")) == (200, {})
