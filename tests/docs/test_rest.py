"""Every request of docs/rest.md is answered as it stands there."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from pytest_django import Settings

from project.workflows import noop_steps
from tests.docs.pages import ROOT, read_code
from tests.docs.sessions import prints_as_expected, read_commands, run_command
from workflows_app.engine.accounts import create_token
from workflows_app.engine.drain import drain_here
from workflows_app.engine.publications import publish
from workflows_app.models import Account, DeadLetter, Publication, Run, Token
from workflows_app.protocol.headers import parse_headers
from workflows_app.rest.errors import STATUS_OF_CODE
from workflows_app.rest.upstash.liveness import NoSuchRouteView
from workflows_app.rest.upstash.urls import urlpatterns

PAGE = ROOT / "docs/rest.md"
_ROUTE = re.compile(r"^\| `(/v2/[^`]+)` \| ([\w, ]+) \|", re.M)
_PARAMETER = re.compile(r"<\w+:\w+>|\{[^}]*\}")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def environment(live_server: Any, settings: Settings) -> dict[str, str]:
    settings.WORKFLOWS = {"BASE_URL": live_server.url}
    token = create_token(Account.objects.default(), "docs", Token.Scope.FULL)
    return {
        "PATH": os.environ["PATH"],
        "QSTASH_URL": live_server.url,
        "QSTASH_TOKEN": token,
        "USER_ID": Account.objects.default().user_id,
    }


def perform(section: str, environment: dict[str, str]) -> None:
    commands = [
        command
        for block in read_code(PAGE, ("console",), section)
        for command in read_commands(block)
    ]
    assert commands, f"{section} has no requests"
    for command in commands:
        printed = run_command(command, environment)
        assert prints_as_expected(printed, command.expected), (command.text, printed)


def test_an_unknown_token_is_refused(environment: dict[str, str]):
    perform("Tokens", environment)


def test_runs_are_started_watched_and_cancelled(environment: dict[str, str]):
    perform("Starting runs", environment)
    drain_here()
    perform("Watching runs", environment)
    perform("Cancelling", environment)
    perform("Pausing", environment)


def test_a_failed_run_is_found_and_resumed(environment: dict[str, str]):
    noop_steps.trigger({"steps": -1})
    drain_here()

    environment["DLQ_ID"] = DeadLetter.objects.get().public_id
    perform("The dead letter queue", environment)

    assert not DeadLetter.objects.exists()


def test_messages_are_published_cancelled_and_retried(environment: dict[str, str]):
    nowhere = parse_headers([("upstash-retries", "0")])
    publish(Account.objects.default(), "http://127.0.0.1:9/", nowhere, b"", caller_ip="")
    drain_here()

    perform("Publishing messages", environment)

    assert Publication.objects.waiting().count() == 1


@pytest.mark.parametrize("section", ["Queues", "URL groups", "Schedules"])
def test_what_stands_between_callers_and_messages_is_made(
    environment: dict[str, str], section: str
):
    perform(section, environment)


def test_events_are_sent_and_endpoints_publish(environment: dict[str, str]):
    perform("Events and webhooks", environment)
    perform("What endpoints publish", environment)

    assert Run.objects.get().result == '{"shipped": true}'


def test_flow_control_keys_are_pinned_and_paused(environment: dict[str, str]):
    perform("Flow control", environment)


def test_the_keys_are_shown(environment: dict[str, str]):
    perform("Signing keys", environment)


def test_an_unsigned_delivery_is_refused(environment: dict[str, str]):
    perform("Serving workflows over HTTP", environment)


def test_every_status_of_an_error_is_listed():
    text = PAGE.read_text()

    missing = [status for status in STATUS_OF_CODE.values() if f"| {status.value} |" not in text]

    assert missing == []


def served() -> dict[str, set[str]]:
    """The methods of each route, but for those that are there for old clients alone."""
    routes = {}
    for pattern in urlpatterns:
        view: Any = pattern.callback
        if view.view_class is NoSuchRouteView or "schema" in view.view_initkwargs:
            continue
        methods = {name.upper() for name in view.view_class.http_method_names}
        has = {name for name in methods if hasattr(view.view_class, name.lower())}
        routes[_PARAMETER.sub("*", f"/v2/{pattern.pattern}")] = has - {"HEAD"}
    return routes


def test_every_route_is_listed_with_its_methods():
    listed = {
        _PARAMETER.sub("*", route): set(methods.split(", "))
        for route, methods in _ROUTE.findall(PAGE.read_text())
    }

    any_method = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert {
        route: any_method if "any" in methods else methods for route, methods in listed.items()
    } == served()
