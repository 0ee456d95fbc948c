"""Whatever the description of the API lets one send, the answer is one that it describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import assume

from tests.rest.conftest import Api
from tests.rest.fuzzing import CHECKS, QUICKLY, is_route_of_its_own, load, one_connection

described = load().exclude(path_regex="^/client/|^/realtime$")  # a stream goes on


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
    with one_connection():
        yield


@described.parametrize()
@pytest.mark.usefixtures("_one_connection")
@QUICKLY
def test_every_answer_is_as_described(api: Api, case: schemathesis.Case[Any]) -> None:
    assume(not is_route_of_its_own(case))

    response = case.call(headers={"Authorization": f"Bearer {api.token}"})

    case.validate_response(response, checks=CHECKS)
