"""System checks: settings that would lose work, lose time, or let in the world.

`workflows.E…` stops every command that checks, `workflows.W…` is printed by it. What matters only
in production is looked at by `check --deploy`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.core import checks
from django.core.cache import caches
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from workflows_app.conf import Settings, get_settings, is_debug
from workflows_app.worker.lanes import BROKER, NAME_VARIABLE, Lane, lane_names, workflow_lanes
from workflows_app.worker.middlewares import import_middlewares

TAG = "workflows"
TRANSPORTS = ("local", "http")

ENOUGH_TASKS = 100_000
"""Tasks before a worker of django-q2 may be replaced, which costs up to a whole guard cycle."""
RETRY_PER_TIMEOUT = 3
SHORTEST_SQLITE_TIMEOUT = 5.0
"""Seconds; also what SQLite's driver waits when nothing is set."""
ABOVE_ZERO = (
    "THREADS",
    "EXCHANGES",
    "HTTP_TIMEOUT",
    "LEASE",
    "WATCHDOG",
    "POLL",
    "FALLBACK_POLL",
    "MAX_PAYLOAD_BYTES",
    "MAX_RESULT_BYTES",
    "MAX_DELAY",
    "MAX_CRASHES",
    "MAX_EVENTS",
    "MAX_INVOKE_DEPTH",
    "MAX_BATCH",
)
"""Settings without which nothing would be worked on, or accepted."""
UNSUPPORTED = ("mysql", "oracle")
DATABASE_CACHE = "django.core.cache.backends.db.DatabaseCache"


def _settings() -> Settings | None:
    """None when they cannot be read, which `check_settings` reports."""
    try:
        return get_settings()
    except ImproperlyConfigured:
        return None


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    try:
        settings = get_settings()
    except ImproperlyConfigured as error:
        hint = "docs/settings.md lists the settings, their types and their defaults."
        return [Error(str(error), hint=hint, id="workflows.E001")]
    return list(_check_values(settings))


def _check_values(settings: Settings) -> Iterator[CheckMessage]:
    if settings.TRANSPORT not in TRANSPORTS:
        yield Error(
            f'WORKFLOWS["TRANSPORT"] is {settings.TRANSPORT!r}, by which no run can be worked on.',
            hint='Set it to "local" (workers call the function) or "http" (they send requests).',
            id="workflows.E002",
        )
    if settings.DATABASE not in connections.settings:
        yield Error(
            f'WORKFLOWS["DATABASE"] is {settings.DATABASE!r}, which is not in DATABASES.',
            hint=f"Set it to one of {', '.join(connections.settings)}.",
            id="workflows.E003",
        )
    else:
        yield from _check_database(connections.settings[settings.DATABASE]["ENGINE"])
    for name in ABOVE_ZERO:
        value = getattr(settings, name)
        if value <= type(value)(0):
            yield Error(
                f'WORKFLOWS["{name}"] is {value}: nothing would be worked on or accepted.',
                hint="Set it to more than zero, or leave it out.",
                id="workflows.E006",
            )
    try:
        import_middlewares(settings.MIDDLEWARES)
    except ImproperlyConfigured as error:
        yield Error(
            str(error),
            hint='Give the full dotted name of each, such as "workflows_app.logging_middleware".',
            id="workflows.E008",
        )
    try:
        import_string(settings.DISPATCHER)
    except ImportError as error:
        yield Error(
            f'WORKFLOWS["DISPATCHER"] is {settings.DISPATCHER!r}, which cannot be imported: '
            f"{error}.",
            hint="Leave it out, or give the full dotted name of a class.",
            id="workflows.E004",
        )


# -- the database


def _check_database(engine: str) -> Iterator[CheckMessage]:
    if engine.endswith(UNSUPPORTED):
        yield Error(
            f"The tables of workflows_app cannot be worked on in a database of {engine}.",
            hint='Let WORKFLOWS["DATABASE"] name a PostgreSQL or SQLite database in DATABASES.',
            id="workflows.E007",
        )


@register(TAG)
def check_sqlite(**_: Any) -> list[CheckMessage]:
    settings = _settings()
    database = settings and connections.settings.get(settings.DATABASE)
    if not database or not database["ENGINE"].endswith("sqlite3"):
        return []
    return list(_check_sqlite(database.get("OPTIONS", {})))


def _check_sqlite(options: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if str(options.get("transaction_mode")).upper() != "IMMEDIATE":
        yield checks.Warning(
            'SQLite refuses with "database is locked", without waiting, when a transaction that '
            "has read begins to write while another process writes.",
            hint='Set OPTIONS["transaction_mode"] of the database to "IMMEDIATE".',
            id="workflows.W021",
        )
    if "journal_mode=wal" not in str(options.get("init_command")).lower().replace(" ", ""):
        yield checks.Warning(
            "Without a write-ahead log, readers and writers of SQLite keep each other waiting, and "
            "every commit costs several times as much.",
            hint='Set OPTIONS["init_command"] of the database to "PRAGMA journal_mode=WAL;".',
            id="workflows.W022",
        )
    timeout = options.get("timeout", SHORTEST_SQLITE_TIMEOUT)
    if timeout < SHORTEST_SQLITE_TIMEOUT:
        yield checks.Warning(
            f"SQLite gives up after {timeout} s of waiting for the writers of other processes; "
            "workers and views would then fail under load.",
            hint='Set OPTIONS["timeout"] of the database to 30 (seconds).',
            id="workflows.W023",
        )


# -- django-q2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """An option of django-q2 with a default, or a plausible value, that does harm here."""

    id: str
    options: tuple[str, ...]
    is_safe: Callable[[Mapping[str, Any]], bool]
    harm: str
    hint: str

    def in_lane(self, lane: Lane) -> CheckMessage | None:
        try:
            if self.is_safe(lane.values):
                return None
        except TypeError:
            pass  # what cannot be compared with a number is not safe either
        given = [f'"{option}" is {lane.values.get(option, "not set")}' for option in self.options]
        message = f"{lane.setting}: {' and '.join(given)}. {self.harm}"
        return checks.Warning(message, hint=self.hint, id=f"workflows.{self.id}")


def _keeps_timeout_and_retry_apart(values: Mapping[str, Any]) -> bool:
    timeout, retry = values.get("timeout"), values.get("retry", 60)
    return timeout is not None and bool(0 < RETRY_PER_TIMEOUT * timeout <= retry)


def _fetches_no_more_than_workers(values: Mapping[str, Any]) -> bool:
    workers = values.get("workers") or os.cpu_count() or 1
    return bool(0 < values.get("queue_limit", workers**2) <= workers)


def _keeps_statistics_in_memory(values: Mapping[str, Any]) -> bool:
    cache = caches.settings.get(values.get("cache", "default"), {})
    return bool(cache.get("BACKEND") != DATABASE_CACHE)


TRAPS = (
    Trap(
        id="W002",
        options=("recycle",),
        is_safe=lambda values: values.get("recycle", 500) >= ENOUGH_TASKS,
        harm="Each time a worker has done that many tasks, it is missing until the next guard "
        "cycle; under load that costs more than the work.",
        hint='Set "recycle" to 100_000 or more.',
    ),
    Trap(
        id="W003",
        options=("save_limit",),
        is_safe=lambda values: values.get("save_limit", 250) < 0,
        harm="Storing a result for each ring of the doorbell costs 5 ms of CPU, and says nothing.",
        hint='Set "save_limit" to -1; the history of runs is in the tables of workflows_app.',
    ),
    Trap(
        id="W004",
        options=("timeout", "retry"),
        is_safe=_keeps_timeout_and_retry_apart,
        harm="Without a timeout, a worker that hangs is never replaced; with a retry that is not "
        "well above it, django-q2 hands out again what is still at work.",
        hint='Set "timeout" to 60 and "retry" to at least three times that.',
    ),
    Trap(
        id="W005",
        options=("queue_limit",),
        is_safe=_fetches_no_more_than_workers,
        harm="Rings that wait in memory for a busy worker keep the watchdog from seeing that "
        "nobody answers; the default is the square of the number of workers.",
        hint='Set "queue_limit" to the number of "workers".',
    ),
    Trap(
        id="W006",
        options=("ack_failures",),
        is_safe=lambda values: values.get("ack_failures") is True,
        harm="A task that fails would be handed out again, without end.",
        hint='Set "ack_failures" to True; retries of steps are the engine\'s own.',
    ),
    Trap(
        id="W007",
        options=("max_attempts",),
        is_safe=lambda values: values.get("max_attempts") == 1,
        harm="A task that fails would be handed out again.",
        hint='Set "max_attempts" to 1; retries of steps are the engine\'s own.',
    ),
    Trap(
        id="W008",
        options=("scheduler",),
        is_safe=lambda values: values.get("scheduler") is False,
        harm="The scheduler of django-q2 would hand tasks to a lane that takes none.",
        hint='Set "scheduler" to False here; sleeps and schedules are due messages.',
    ),
    Trap(
        id="W009",
        options=("cache",),
        is_safe=_keeps_statistics_in_memory,
        harm="django-q2 writes its statistics to the cache twice a second, in each cluster, and "
        "this cache is the database.",
        hint='Let "cache" name a cache in CACHES that is not a DatabaseCache.',
    ),
)


@register(TAG)
def check_django_q(**_: Any) -> list[CheckMessage]:
    """Only lanes that are ours are looked at; what a project does with its others is its own."""
    if not apps.is_installed("django_q"):
        return []
    lanes = workflow_lanes()
    messages = [trap.in_lane(lane) for lane in lanes for trap in TRAPS]
    if not lanes:
        messages.append(_no_lane())
    messages.append(_check_lane_name())
    return [message for message in messages if message is not None]


def _no_lane() -> CheckMessage:
    return checks.Warning(
        "No cluster of django-q2 works on workflows: none has the broker of workflows_app, so "
        "`qcluster` runs nothing of it.",
        hint=f'Set "broker_class" to "{BROKER}" in Q_CLUSTER or, where the project has tasks of '
        'its own, in a lane of Q_CLUSTER["ALT_CLUSTERS"] (docs/deploy.md); or take django_q out of '
        "INSTALLED_APPS and run `workflows worker`.",
        id="workflows.W001",
    )


def _check_lane_name() -> CheckMessage | None:
    name = os.environ.get(NAME_VARIABLE)
    if not name or name in lane_names():
        return None
    return Error(
        f'{NAME_VARIABLE} is "{name}", but Q_CLUSTER has no lane of that name; django-q2 would run '
        "the default one under a wrong name, or fail with a KeyError.",
        hint=f'Unset it, or add "{name}" to Q_CLUSTER["ALT_CLUSTERS"].',
        id="workflows.E005",
    )


# -- before going into production


@register(TAG, deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    settings = _settings()
    return [] if settings is None or is_debug() else list(_check_deployment(settings))


def _check_deployment(settings: Settings) -> Iterator[CheckMessage]:
    if urlsplit(settings.BASE_URL).hostname in ("localhost", "127.0.0.1", "::1"):
        yield checks.Warning(
            f'WORKFLOWS["BASE_URL"] is {settings.BASE_URL}: the URLs of workflows, which other '
            "machines are given, lead nowhere.",
            hint='Set it, or WORKFLOWS_BASE_URL, to where this server is reached, such as "https://'
            'flows.example.org".',
            id="workflows.W041",
        )
    if settings.ALLOW_PRIVATE_ADDRESSES:
        yield checks.Warning(
            'WORKFLOWS["ALLOW_PRIVATE_ADDRESSES"] is on: whoever may start runs can have this '
            "server send requests inside its own network.",
            hint="Take it out of the settings, unless all who hold a token may reach that network.",
            id="workflows.W042",
        )
