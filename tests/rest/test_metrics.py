"""`/metrics`, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries

from tests.conftest import Clock
from tests.rest.conftest import Api
from workflows_app.engine.presence import Presence

MOST_QUERIES = 25


@pytest.fixture(autouse=True)
def at_noon(clock: Clock) -> Clock:
    return clock


def samples(response: Any) -> dict[str, float]:
    """Each by its name and the values of its labels: "workflows_runs queued hello"."""
    assert response.status_code == 200, response
    assert response["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(response.content.decode())
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


def test_runs_are_told_by_workflow_and_state(
    read_only_api: Api, api: Api, hello: str, broken: str, work: Callable[[], int], clock: Clock
):
    api.post(f"/v2/trigger/{hello}")
    api.post(f"/v2/trigger/{broken}")
    work()
    api.post(f"/v2/trigger/{hello}")
    api.post(f"/v2/trigger/{hello}", upstash_delay="1h")
    clock.advance("30s")

    told = samples(read_only_api.get("/metrics"))

    assert told["workflows_runs queued hello"] == 1
    assert told["workflows_runs waiting hello"] == 1
    assert told["workflows_dead_letters broken"] == 1
    assert told["workflows_recent_runs succeeded hello"] == 1
    assert told["workflows_recent_runs failed broken"] == 1
    assert told["workflows_recent_run_duration_seconds 0.95 hello"] == 0
    assert told["workflows_messages_due"] == 1
    assert told["workflows_oldest_due_seconds"] == 30
    assert told["workflows_stuck_runs"] == 0


def test_workers_are_counted(read_only_api: Api):
    Presence(threads=16).tell()
    Presence(threads=4).tell()

    told = samples(read_only_api.get("/metrics"))

    assert (told["workflows_workers"], told["workflows_worker_threads"]) == (2, 20)


def test_a_token_shows_the_numbers_of_its_account_alone(stranger: Api, api: Api, hello: str):
    api.post(f"/v2/trigger/{hello}")

    told = samples(stranger.get("/metrics"))

    assert told["workflows_messages_due"] == 0
    assert not [name for name in told if "hello" in name]


def test_the_token_of_the_settings_shows_the_numbers_of_all(
    stranger: Api, api: Api, hello: str, settings
):
    settings.WORKFLOWS = {"METRICS_TOKEN": "scraper"}
    api.post(f"/v2/trigger/{hello}")

    told = samples(Client().get("/metrics", headers={"Authorization": "Bearer scraper"}))

    assert told["workflows_runs queued hello"] == 1


@pytest.mark.parametrize("token", ["", "guess", "scrapér"])
def test_without_a_token_nothing_is_told(db: None, settings, token: str):
    settings.WORKFLOWS = {"METRICS_TOKEN": "scraper"}

    response = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 401
    assert "workflows_" not in response.content.decode()


def test_an_empty_setting_opens_nothing(db: None):
    for headers in ({}, {"Authorization": "Bearer "}):
        assert Client().get("/metrics", headers=headers).status_code == 401


def test_a_developer_needs_no_token(db: None, settings):
    settings.DEBUG = True

    assert samples(Client().get("/metrics"))["workflows_messages_due"] == 0


def test_its_cost_does_not_depend_on_how_much_there_is(
    api: Api,
    hello: str,
    broken: str,
    work: Callable[[], int],
    django_assert_max_num_queries: DjangoAssertNumQueries,
):
    for url in (hello, broken) * 3:
        api.post(f"/v2/trigger/{url}")
    work()

    with django_assert_max_num_queries(MOST_QUERIES):
        api.get("/metrics")
