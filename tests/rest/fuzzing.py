"""Sending whatever the description of the API lets one send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client, override_settings
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
QUICKLY = settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@cache
def read_schema() -> dict[str, Any]:
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        served = Client().get("/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    return dict(json.loads(served.content))


@cache
def _words() -> set[str]:
    return {word for path in read_schema()["paths"] for word in path.split("/")}


def is_route_of_its_own(case: schemathesis.Case[Any]) -> bool:
    """Whether a name in its path is a word that routes have there, as the `resume` of `dlq/resume`,
    which is not the entry of that id.
    """
    return not _words().isdisjoint(map(str, case.path_parameters.values()))


def load() -> schemathesis.BaseSchema:
    described = schemathesis.openapi.from_dict(read_schema())
    described.app = get_wsgi_application()
    described.config.update(base_url="http://testserver")
    return described


@contextmanager
def one_connection() -> Iterator[None]:
    """A request as from outside would close the connection, and end the test's transaction."""
    signals = request_started, request_finished
    for signal in signals:
        signal.disconnect(close_old_connections)
    with override_settings(ALLOWED_HOSTS=["*"]):
        yield
    for signal in signals:
        signal.connect(close_old_connections)
