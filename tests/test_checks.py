"""What each system check has something to say about, and what it lets pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, Error, run_checks
from django.db import connections
from pytest_django import Settings

from project import settings as demo
from project.databases import read_database_url
from workflows_app.checks import TAG
from workflows_app.worker.lanes import BROKER

OURS = {
    "name": "workflows",
    "broker_class": BROKER,
    "workers": 2,
    "queue_limit": 2,
    "timeout": 60,
    "retry": 180,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "scheduler": False,
    "recycle": 100_000,
}
"""A cluster of django-q2 as it should be."""
THEIRS = {"name": "tasks", "orm": "default", "timeout": 90, "retry": 91}
"""A project's own cluster, which is none of our business."""
SQLITE = read_database_url("sqlite:////data/site.sqlite3", root=Path("/"))


def found(*, for_deployment: bool = False) -> list[CheckMessage]:
    return run_checks(tags=[TAG], include_deployment_checks=for_deployment)


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("workflows.") for message in messages]


@pytest.fixture(autouse=True)
def sound_surroundings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything as it should be, whatever the suite runs with."""
    for name in ("WORKFLOWS_TRANSPORT", "WORKFLOWS_BASE_URL", "Q_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    settings.DEBUG = True
    settings.WORKFLOWS = {}
    settings.Q_CLUSTER = OURS
    monkeypatch.setitem(connections.settings, "default", SQLITE)


def test_a_sound_project_hears_nothing() -> None:
    assert found(for_deployment=True) == []


def test_the_demo_site_hears_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.Q_CLUSTER = demo.Q_CLUSTER
    monkeypatch.setitem(connections.settings, "default", demo.DATABASES["default"])

    assert found() == []


# -- the settings


@pytest.mark.parametrize(
    ("workflows", "expected", "says"),
    [
        ({"RETRYS": 3}, "E001", "'RETRYS'"),
        ({"LEASE": "soon"}, "E001", "'LEASE'"),
        ({"RETRIES": "three"}, "E001", "'RETRIES'"),
        ({"LEASE": "none"}, "E001", "'LEASE'"),
        ({"ALLOW_PRIVATE_ADDRESSES": "maybe"}, "E001", "'maybe'"),
        ({"TRANSPORT": "carrier pigeon"}, "E002", "carrier pigeon"),
        ({"DATABASE": "other"}, "E003", "'other'"),
        ({"DISPATCHER": "no.such.Dispatcher"}, "E004", "'no.such.Dispatcher'"),
        ({"MIDDLEWARES": ["no.such.middleware"]}, "E008", "'no.such.middleware'"),
        ({"MIDDLEWARES": ["workflows_app.workflow"]}, "E008", "which is no Middleware"),
        ({"MIDDLEWARES": 7}, "E001", "a list of names is needed"),
        ({"THREADS": 0}, "E006", '"THREADS"'),
        ({"LEASE": "0s"}, "E006", '"LEASE"'),
    ],
)
def test_a_setting_that_cannot_be_used_is_an_error(
    settings: Settings, workflows: dict[str, Any], expected: str, says: str
) -> None:
    settings.WORKFLOWS = workflows

    messages = found()

    assert ids(messages) == [expected]
    assert isinstance(messages[0], Error)
    assert says in messages[0].msg


def test_a_database_that_cannot_be_worked_on_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    mysql = read_database_url("mysql://ada@db.example/work", root=Path("/"))
    monkeypatch.setitem(connections.settings, "default", mysql)

    assert ids(found()) == ["E007"]


# -- SQLite


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"transaction_mode": "immediate"}, []),
        ({"transaction_mode": None}, ["W021"]),
        ({"transaction_mode": "DEFERRED"}, ["W021"]),
        ({"init_command": None}, ["W022"]),
        ({"init_command": "PRAGMA synchronous=FULL"}, ["W022"]),
        ({"init_command": "pragma journal_mode = wal"}, []),
        ({"timeout": 4.9}, ["W023"]),
        ({"timeout": 5}, []),
        (
            {"transaction_mode": None, "init_command": None, "timeout": 1},
            ["W021", "W022", "W023"],
        ),
    ],
)
def test_sqlite_has_to_wait_for_its_turn_to_write(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: list[str]
) -> None:
    database = {**SQLITE, "OPTIONS": {**SQLITE["OPTIONS"], **options}}
    monkeypatch.setitem(connections.settings, "default", database)

    assert ids(found()) == expected


def test_sqlite_without_options_waits_long_enough_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connections.settings, "default", {**SQLITE, "OPTIONS": {}})

    assert ids(found()) == ["W021", "W022"]


def test_other_databases_need_none_of_that(monkeypatch: pytest.MonkeyPatch) -> None:
    postgres = read_database_url("postgres://shop@db/shop", root=Path("/"))
    monkeypatch.setitem(connections.settings, "default", postgres)

    assert found() == []


# -- django-q2

WITHOUT_ITS_DEFAULTS = [
    ({"recycle": 500}, ["W002"]),
    ({"recycle": 99_999}, ["W002"]),
    ({"save_limit": 250}, ["W003"]),
    ({"save_limit": 0}, ["W003"]),
    ({"timeout": None}, ["W004"]),
    ({"timeout": 0}, ["W004"]),
    ({"timeout": 61}, ["W004"]),
    ({"retry": 179}, ["W004"]),
    ({"timeout": "60"}, ["W004"]),
    ({"queue_limit": 3}, ["W005"]),
    ({"queue_limit": 0}, ["W005"]),
    ({"workers": 1, "queue_limit": 1}, []),
    ({"ack_failures": False}, ["W006"]),
    ({"max_attempts": 0}, ["W007"]),
    ({"scheduler": True}, ["W008"]),
]
LEFT_OUT = [
    ("recycle", ["W002"]),
    ("save_limit", ["W003"]),
    ("timeout", ["W004"]),
    ("retry", ["W004"]),
    ("queue_limit", ["W005"]),
    ("ack_failures", ["W006"]),
    ("max_attempts", ["W007"]),
    ("scheduler", ["W008"]),
    ("broker_class", ["W001"]),
]


def without(option: str) -> dict[str, Any]:
    return {name: value for name, value in OURS.items() if name != option}


@pytest.mark.parametrize(("values", "expected"), WITHOUT_ITS_DEFAULTS)
def test_each_trap_of_django_q2_is_seen(
    settings: Settings, values: dict[str, Any], expected: list[str]
) -> None:
    settings.Q_CLUSTER = {**OURS, **values}

    assert ids(found()) == expected


@pytest.mark.parametrize(("option", "expected"), LEFT_OUT)
def test_its_defaults_are_traps_as_well(
    settings: Settings, option: str, expected: list[str]
) -> None:
    settings.Q_CLUSTER = without(option)

    assert ids(found()) == expected


def test_a_single_worker_needs_no_queue_limit(settings: Settings) -> None:
    settings.Q_CLUSTER = {**without("queue_limit"), "workers": 1}

    assert found() == []


def test_a_message_names_place_value_harm_and_remedy(settings: Settings) -> None:
    settings.Q_CLUSTER = {**OURS, "timeout": 60, "retry": 90}

    (message,) = found()

    assert (message.msg, message.hint) == (
        'Q_CLUSTER: "timeout" is 60 and "retry" is 90. Without a timeout, a worker that hangs is '
        "never replaced; with a retry that is not well above it, django-q2 hands out again what "
        "is still at work.",
        'Set "timeout" to 60 and "retry" to at least three times that.',
    )


@pytest.mark.parametrize(
    ("caches", "expected"),
    [
        ({"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}, []),
        (
            {
                "default": {
                    "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                    "LOCATION": "cache",
                }
            },
            ["W009"],
        ),
    ],
)
def test_statistics_do_not_belong_into_the_database(
    settings: Settings, caches: dict[str, Any], expected: list[str]
) -> None:
    settings.CACHES = caches

    assert ids(found()) == expected


def test_a_cache_of_its_own_keeps_statistics_out_of_the_database(
    settings: Settings,
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "cache",
        },
        "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    settings.Q_CLUSTER = {**OURS, "cache": "memory"}

    assert found() == []


def test_of_a_project_with_tasks_of_its_own_only_our_lane_is_looked_at(
    settings: Settings,
) -> None:
    settings.Q_CLUSTER = {
        **THEIRS,
        "ALT_CLUSTERS": {"workflows": without("recycle"), "mail": {"timeout": None}},
    }

    (message,) = found()

    assert message.id == "workflows.W002"
    assert message.msg.startswith('Q_CLUSTER["ALT_CLUSTERS"]["workflows"]: "recycle" is not set.')


def test_a_lane_has_what_the_default_cluster_says_unless_it_says_otherwise(
    settings: Settings,
) -> None:
    ours = without("save_limit")
    settings.Q_CLUSTER = {**THEIRS, "save_limit": -1, "ALT_CLUSTERS": {"workflows": ours}}

    assert found() == []


@pytest.mark.parametrize("q_cluster", [{}, THEIRS, {**THEIRS, "ALT_CLUSTERS": {"mail": {}}}])
def test_a_cluster_that_works_on_no_workflow_is_worth_a_warning(
    settings: Settings, q_cluster: Mapping[str, Any]
) -> None:
    settings.Q_CLUSTER = q_cluster

    (message,) = found()

    assert message.id == "workflows.W001"
    assert BROKER in str(message.hint)


def test_a_project_without_django_q2_needs_no_cluster(settings: Settings) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_q"]
    settings.Q_CLUSTER = {}

    assert found() == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("workflows", []), ("lane", []), ("", []), ("worklfows", ["E005"]), ("mail", ["E005"])],
)
def test_the_chosen_lane_has_to_exist(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    expected: list[str],
) -> None:
    settings.Q_CLUSTER = {**THEIRS, "cluster_name": "lane", "ALT_CLUSTERS": {"workflows": OURS}}
    monkeypatch.setenv("Q_CLUSTER_NAME", name)

    assert ids(found()) == expected


# -- deployment


@pytest.mark.parametrize(
    ("workflows", "expected"),
    [
        ({}, ["W041"]),
        ({"BASE_URL": "http://localhost:8000"}, ["W041"]),
        ({"BASE_URL": "http://[::1]:8000"}, ["W041"]),
        ({"BASE_URL": "https://flows.example.org"}, []),
        ({"BASE_URL": "https://flows.example.org", "ALLOW_PRIVATE_ADDRESSES": True}, ["W042"]),
        ({"ALLOW_PRIVATE_ADDRESSES": "yes"}, ["W041", "W042"]),
        ({"LEASE": "soon"}, ["E001"]),
    ],
)
def test_what_development_may_do_is_no_way_to_go_into_production(
    settings: Settings, workflows: dict[str, Any], expected: list[str]
) -> None:
    settings.DEBUG = False
    settings.WORKFLOWS = workflows

    assert ids(found(for_deployment=True)) == expected


def test_without_deploy_nobody_is_bothered_with_it(settings: Settings) -> None:
    settings.DEBUG = False

    assert found() == []
