"""The settings of the app; the only module that reads `django.conf.settings`.

A project sets `WORKFLOWS = {"RETRIES": 5, ...}`. Each value that an operator may want to change
without touching code can also be given in the environment as `WORKFLOWS_<NAME>`, which wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from workflows_app.errors import InvalidDuration
from workflows_app.protocol.durations import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator may set, with its default."""

    BASE_URL: str = "http://127.0.0.1:8000"
    """Where this server is reached; a workflow's URL is BASE_URL + "/serve/" + its name."""
    TRANSPORT: str = "local"
    """How runs of workflows registered here are worked on: "local" (in the worker) or "http"."""
    DATABASE: str = "default"
    """The database alias that holds the app's tables."""
    DISPATCHER: str = "workflows_app.worker.doorbell.DatabaseDispatcher"
    """Who rings when work falls due: a class with the shape of `engine.ports.Dispatcher`."""
    MIDDLEWARES: tuple[str, ...] = ()
    """What is told how all runs of workflows registered here get on: names of `Middleware`s."""

    RETRIES: int = 3
    RETRY_DELAY: str = ""
    """Retry delay expression in milliseconds; empty means the default back-off (12 s, 148 s, 30
    min, ...).
    """
    STEP_TIMEOUT: timedelta | None = None
    """How long one attempt of a step may take; None means as long as it likes."""
    CLASS_RETRIES: int = 5
    """How often a step of a class-based workflow is retried unless it says otherwise."""
    CLASS_RETRY_DELAY: timedelta = timedelta(seconds=10)
    """How long its first retry waits; each further one twice as long."""
    CLASS_STEP_TIMEOUT: timedelta | None = timedelta(minutes=10)
    """How long one attempt of such a step may take; None means as long as it likes."""
    HTTP_TIMEOUT: timedelta = timedelta(minutes=15)
    """How long one HTTP delivery or call may take unless it says otherwise."""

    LEASE: timedelta = timedelta(seconds=15)
    """How long a worker owns a message without renewing; the longest that a crash can delay a run.
    """
    THREADS: int = 16
    """How many deliveries one worker process works on at a time."""
    EXCHANGES: int = 256
    """How many HTTP answers one worker process waits for at a time, beside what it works on."""
    SHUTDOWN_GRACE: timedelta = timedelta(seconds=5)
    """How long a stopping worker waits for steps in flight before it gives their leases back."""
    WATCHDOG: timedelta = timedelta(seconds=10)
    """A cluster whose doorbell nobody answers for this long is ended, for its supervisor to
    replace.
    """
    POLL: timedelta = timedelta(milliseconds=3)
    """SQLite: how often the doorbell looks for commits of other processes."""
    FALLBACK_POLL: timedelta = timedelta(seconds=1)
    """How often the doorbell looks for due work when no one rings."""

    MAX_PAYLOAD_BYTES: int = 100 * 1024 * 1024
    MAX_RESULT_BYTES: int = 10 * 1024 * 1024
    MAX_RETRIES: int = 1000
    MAX_DELAY: timedelta = timedelta(days=365)
    MAX_STEPS: int = 10_000
    """The most steps with functions of a run, unless its workflow's version sets another limit."""
    MAX_STEP_LIMIT: int = 25_000
    """The highest limit that a version may set."""
    MAX_SCHEDULES: int = 200
    """The most cron expressions of one workflow."""
    MAX_CRASHES: int = 10
    """How many workers in a row may end on a message before its run fails."""
    MAX_EVENTS: int = 1000
    """The most events that are kept for a run until it waits for them."""
    MAX_INVOKE_DEPTH: int = 100
    MAX_BATCH: int = 1000
    """The most items one batch request may hold."""
    MAX_INSTANCE_PAYLOAD_BYTES: int = 1024 * 1024
    """Of instances, and of events for them, that come over the Cloudflare surface."""
    SHOWN_OUTPUT: int | None = 1024
    """How many characters of a step's output an instance's detail shows; None for all of them."""
    KEEP_SOURCE: bool = True
    """Whether versions keep the source of workflows, for the admin to show and compare."""
    DEDUPLICATION_WINDOW: timedelta = timedelta(minutes=10)
    """How long a published message stands for what is published with the same key."""

    ALLOW_PRIVATE_ADDRESSES: bool = False
    """Whether calls, callbacks and deliveries may go to private and loopback addresses."""
    TRUSTED_PROXIES: int = 0
    """How many proxies stand before this server and add the address that they see to
    `X-Forwarded-For`; with 0 the header counts for nothing.
    """
    RETENTION: timedelta | None = timedelta(days=30)
    """How long ended runs are kept; None keeps them for ever."""
    MAX_RETENTION: timedelta | None = timedelta(days=30)
    """The longest that may be asked for; None for up to a thousand years."""
    STREAMS: int | None = None
    """How many streams of events one process keeps open; None for 2 where each has a thread of its
    own (WSGI), and 200 elsewhere.
    """
    READY_LAG: timedelta = timedelta(seconds=60)
    """/healthz fails when due work has waited longer than this."""
    METRICS_TOKEN: str = ""
    """Whoever shows it as a bearer token sees the numbers of all accounts at /metrics."""


_SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _nothing(kind: str) -> None:
    """Raises ValueError where there must be something."""
    if "None" not in kind:
        raise ValueError("a duration is needed, such as 90s; this setting cannot do without one")


def _names(raw: object) -> tuple[str, ...]:
    """Raises ValueError for what is neither a list of texts nor a text with commas."""
    names = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("a list of names is needed")
    return tuple(name.strip() for name in names if name.strip())


def _read(name: str, kind: str, raw: object) -> Any:
    try:
        if "timedelta" in kind:
            if raw is None or raw in ("", "none"):
                return _nothing(kind)
            return raw if isinstance(raw, timedelta) else parse_duration(str(raw))
        if "tuple" in kind:
            return _names(raw)
        if kind.startswith("int"):
            return None if "None" in kind and raw in (None, "", "none") else int(str(raw))
        if kind == "bool":
            return raw if isinstance(raw, bool) else _SWITCH[str(raw).lower()]
        return str(raw)
    except KeyError:
        raise ImproperlyConfigured(
            f"WORKFLOWS[{name!r}] = {raw!r}: a switch is one of {', '.join(_SWITCH)}"
        ) from None
    except (ValueError, InvalidDuration) as error:
        raise ImproperlyConfigured(f"WORKFLOWS[{name!r}] = {raw!r}: {error}") from None


@cache
def get_settings() -> Settings:
    """The settings in force. Raises ImproperlyConfigured for an unknown name or a value that cannot
    be read.
    """
    given: Mapping[str, object] = getattr(django_settings, "WORKFLOWS", {})
    known = {field.name: str(field.type) for field in fields(Settings)}
    if unknown := sorted(set(given) - set(known)):
        raise ImproperlyConfigured(
            f"WORKFLOWS has no setting {unknown[0]!r}; it has {', '.join(known)}."
        )
    values: dict[str, object] = {"ALLOW_PRIVATE_ADDRESSES": django_settings.DEBUG, **given}
    values |= {
        name: os.environ[f"WORKFLOWS_{name}"] for name in known if f"WORKFLOWS_{name}" in os.environ
    }
    return Settings(**{name: _read(name, known[name], value) for name, value in values.items()})


def project_package() -> str:
    """The package of the project's root URL configuration; empty when there is none."""
    name: str = getattr(django_settings, "ROOT_URLCONF", None) or ""
    return name.rpartition(".")[0]


def is_debug() -> bool:
    """Whether this process serves its own developer rather than the world."""
    return bool(django_settings.DEBUG)


def q_cluster() -> Mapping[str, Any]:
    """django-q2's own settings; empty in a project that has none."""
    given: Mapping[str, Any] = getattr(django_settings, "Q_CLUSTER", {})
    return given


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("WORKFLOWS", "DEBUG"):
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="workflows_app.conf")
