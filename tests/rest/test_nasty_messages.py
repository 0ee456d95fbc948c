"""Whatever a caller writes about plain messages, the answer is a sentence and never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.rest.conftest import Api, ThirdParty
from tests.rest.messages import URL, publish
from tests.rest.test_nasty_input import NASTY, is_a_sentence
from workflows_app.rest.upstash import message_dlq, message_filters

Work = Callable[[], int]

NAMES = sorted(
    {*message_dlq.FILTERS, *message_filters.NAMES, "state", "trimBody", "groupBy", "source"}
)
TEXTS = [value for value in NASTY if "\x00" not in value]


@pytest.fixture
def given_up(api: Api, third_party: ThirdParty, work: Work) -> None:
    """A message of each kind: waiting, and given up."""
    third_party.answers_with(404, b"\xff")
    publish(api, upstash_retries="0", upstash_label="a")
    work()
    publish(api, upstash_delay="1h")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/events"),
        ("GET", "/v2/logs"),
        ("GET", "/v2/dlq"),
        ("DELETE", "/v2/dlq"),
        ("POST", "/v2/dlq/retry"),
        ("DELETE", "/v2/messages"),
    ],
)
def test_no_filter_breaks_a_list_or_a_bulk_verb(
    api: Api, given_up, method: str, path: str, name: str
):
    for value in NASTY:
        query = f"{path}?{name}={quote(value)}"
        response = api.get(query) if method == "GET" else api._send(method, query, "", {})
        assert is_a_sentence(response), (value, response.content)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/messages/{}"),
        ("DELETE", "/v2/messages/{}"),
        ("GET", "/v2/queues/{}"),
        ("DELETE", "/v2/queues/{}"),
        ("POST", "/v2/queues/{}/pause"),
        ("POST", f"/v2/enqueue/{{}}/{URL}"),
        ("POST", "/v2/publish/{}"),
        ("GET", "/v2/topics/{}"),
        ("DELETE", "/v2/topics/{}"),
        ("POST", "/v2/topics/{}/endpoints"),
        ("GET", "/v2/schedules/{}"),
        ("POST", "/v2/schedules/{}"),
        ("DELETE", "/v2/schedules/{}"),
        ("PATCH", "/v2/schedules/{}/pause"),
        ("GET", "/v2/dlq/{}"),
        ("DELETE", "/v2/dlq/{}"),
        ("POST", "/v2/dlq/retry/{}"),
    ],
)
def test_no_name_in_a_path_breaks_a_route(api: Api, method: str, path: str):
    cron = {"upstash_cron": "0 * * * *"}
    for value in NASTY:
        written = path.format(quote(value, safe=""))
        response = api.get(written) if method == "GET" else api._send(method, written, "{}", cron)
        assert is_a_sentence(response), (value, response.content)


@pytest.mark.parametrize(
    "header",
    [
        "Upstash-Method",
        "Upstash-Timeout",
        "Upstash-Deduplication-Id",
        "Upstash-Content-Based-Deduplication",
        "Upstash-Callback",
        "Upstash-Callback-Retries",
        "Upstash-Callback-Label",
        "Upstash-Callback-Failure-Callback",
        "Upstash-Failure-Callback",
        "Upstash-Failure-Callback-Delay",
        "Upstash-Queue-Name",
        "Upstash-Schedule-Id",
        "Upstash-Cron",
        "Upstash-Redact-Fields",
        "Upstash-Header-Forward",
        "Upstash-Forward-X",
        "Upstash-Forward-Content-Type",
    ],
)
@pytest.mark.parametrize("path", [f"/v2/publish/{URL}", f"/v2/schedules/{URL}"])
def test_no_header_breaks_a_publication(
    api: Api, third_party: ThirdParty, work: Work, header: str, path: str
):
    for value in TEXTS:
        said = {"Upstash-Cron": "0 * * * *", header: value}
        response = api._send("POST", path, "x", said)
        assert is_a_sentence(response), (value, response.content)
    for listed in ("/v2/events", "/v2/schedules", "/v2/queues"):
        assert api.get(listed).status_code == 200
    third_party.answers_with(200)
    third_party.answers = third_party.answers * 100
    work()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/queues"),
        ("POST", "/v2/topics/all/endpoints"),
        ("DELETE", "/v2/topics/all/endpoints"),
        ("PATCH", "/v2/topics/all"),
        ("DELETE", "/v2/messages"),
        ("DELETE", "/v2/dlq"),
        ("POST", "/v2/dlq/retry"),
    ],
)
def test_no_body_breaks_a_route(api: Api, given_up, method: str, path: str):
    values: list[Any] = [*TEXTS, "\x00", "\ud800", None, True, 0, 1.5, [], {}, [[]], [{}], {"": ""}]
    names = ("queueName", "parallelism", "paused", "endpoints", "headers", "messageIds", "dlqIds")
    bodies = [json.dumps({name: value}) for name in names for value in values]
    bodies += [json.dumps({"endpoints": [{"url": value}]}) for value in values]
    bodies += [json.dumps({"headers": {"upstash-forward-x": value}}) for value in values]
    for body in [*bodies, "", "nonsense", "[]", '"x"', "[" * 3000]:
        response = api._send(method, path, body, {})
        assert is_a_sentence(response), (body[:200], response.content)
