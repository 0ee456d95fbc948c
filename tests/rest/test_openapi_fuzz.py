"""Whatever the description of the API lets one send, the answer is one that it describes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
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

from tests.rest.conftest import Api

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

with override_settings(ALLOWED_HOSTS=["testserver"]):
    served = Client().get("/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
described = schemathesis.openapi.from_dict(json.loads(served.content))
described.app = get_wsgi_application()
described.config.update(base_url="http://testserver")


@pytest.fixture
def _something_of_each(api: Api, hello: str, broken: str, work: Callable[[], int]) -> None:
    """So that no list is empty."""
    limits = {"upstash_flow_control_key": "k", "upstash_flow_control_value": "parallelism=3"}
    api.post(f"/v2/trigger/{broken}", upstash_workflow_runid="failed", upstash_label="a")
    work()
    api.post(f"/v2/trigger/{hello}", '{"a":1}', upstash_workflow_runid="live", **limits)
    api.post("/v2/enqueue/orders/https://app.example/x", "hello", upstash_delay="1h", **limits)
    api.post("/v2/topics/group/endpoints", '{"endpoints": [{"url": "https://app.example/x"}]}')
    schedule = {"upstash_cron": "0 9 * * 1", "upstash_schedule_id": "weekly"}
    api.post("/v2/schedules/https://app.example/x", "hello", **schedule)


@pytest.fixture
def _one_connection(_something_of_each: None) -> Iterator[None]:
    """A request as from outside would close the connection, and end the test's transaction."""
    signals = request_started, request_finished
    for signal in signals:
        signal.disconnect(close_old_connections)
    with override_settings(ALLOWED_HOSTS=["*"]):
        yield
    for signal in signals:
        signal.connect(close_old_connections)


@described.parametrize()
@pytest.mark.usefixtures("_one_connection")
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(api: Api, case: schemathesis.Case[Any]) -> None:
    response = case.call(headers={"Authorization": f"Bearer {api.token}"})

    case.validate_response(response, checks=CHECKS)
