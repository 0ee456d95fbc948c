"""`/v2/queues` and `/v2/enqueue`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty, answer_of
from tests.rest.messages import NOON, URL, enqueue
from workflows_app.models import Publication, Queue

Work = Callable[[], int]


def names(api: Api) -> list[str]:
    return [queue["name"] for queue in api.get("/v2/queues").json()]


def test_a_queue_is_made_by_what_is_published_through_it(api: Api, clock: Clock):
    enqueue(api, "line")
    enqueue(api, "line")

    assert answer_of(api.get("/v2/queues/line")) == (
        200,
        {
            "name": "line",
            "createdAt": NOON,
            "updatedAt": NOON,
            "parallelism": 1,
            "lag": 2,
            "paused": False,
        },
    )


def test_a_queue_is_made_and_changed(api: Api, clock: Clock):
    api.post("/v2/queues", '{"queueName":"line","parallelism":2}')
    clock.advance("1s")
    api.post("/v2/queues", '{"queueName":"line","paused":true}')

    queue = api.get("/v2/queues/line").json()

    assert (queue["parallelism"], queue["paused"]) == (2, True)
    assert (queue["createdAt"], queue["updatedAt"]) == (NOON, NOON + 1000)


def test_queues_are_listed_by_name(api: Api):
    enqueue(api, "b")
    api.post("/v2/queues", '{"queueName":"a"}')

    assert names(api) == ["a", "b"]
    assert [queue["lag"] for queue in api.get("/v2/queues").json()] == [0, 1]


def test_a_batch_publishes_through_several_queues(api: Api):
    items = [{"destination": URL, "queue": name, "body": name} for name in ("b", "a", "b")]

    assert api.post("/v2/batch", json.dumps(items)).status_code == 200
    assert [(queue["name"], queue["lag"]) for queue in api.get("/v2/queues").json()] == [
        ("a", 1),
        ("b", 2),
    ]


def test_a_paused_queue_delivers_once_it_is_resumed(api: Api, third_party: ThirdParty, work: Work):
    enqueue(api, "line")

    assert api.post("/v2/queues/line/pause").json()["paused"] is True
    assert work() == 0
    assert api.post("/v2/queues/line/resume").json()["paused"] is False
    third_party.answers_with(200)
    assert work() == 1
    assert third_party.asked[0].headers["Upstash-Queue-Name"] == "line"


def test_a_deleted_queue_is_gone_with_its_messages(api: Api):
    enqueue(api, "line")

    assert api.delete("/v2/queues/line").status_code == 200
    assert names(api) == []
    assert not Publication.objects.waiting().exists()
    assert api.delete("/v2/queues/line").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"queueName":7}', 400),
        ('{"queueName":"a/b"}', 400),
        ('{"queueName":"a\\u0000"}', 400),
        ('{"queueName":"line","parallelism":0}', 400),
        ('{"queueName":"line","parallelism":-1}', 400),
        ('{"queueName":"line","parallelism":1.5}', 400),
        ('{"queueName":"line","parallelism":true}', 400),
        ('{"queueName":"line","parallelism":"2"}', 400),
        ('{"queueName":"line","parallelism":100000000000000000000}', 412),
        ('{"queueName":"line","paused":"yes"}', 400),
    ],
)
def test_what_cannot_be_a_queue_is_refused(api: Api, body: str, status: int):
    response = api.post("/v2/queues", body)

    assert response.status_code == status
    assert "error" in response.json()
    assert not Queue.objects.exists()


def test_an_unknown_queue_is_not_found(api: Api):
    asked: list[Any] = [
        api.get("/v2/queues/line"),
        api.post("/v2/queues/line/pause"),
        api.post("/v2/queues/line/resume"),
        api.delete("/v2/queues/line"),
    ]

    assert [response.status_code for response in asked] == [404] * 4


def test_queues_of_another_account_are_out_of_reach(api: Api, stranger: Api):
    enqueue(api, "line")

    assert names(stranger) == []
    assert stranger.get("/v2/queues/line").status_code == 404
    assert stranger.post("/v2/queues/line/pause").status_code == 404
    assert stranger.delete("/v2/queues/line").status_code == 404
    stranger.post("/v2/queues", '{"queueName":"line","paused":true}')
    assert api.get("/v2/queues/line").json()["paused"] is False


def test_a_read_only_token_changes_nothing(api: Api, read_only_api: Api):
    enqueue(api, "line")
    refused: list[Any] = [
        read_only_api.post("/v2/queues", '{"queueName":"other"}'),
        read_only_api.post("/v2/queues/line/pause"),
        read_only_api.post("/v2/queues/line/resume"),
        read_only_api.delete("/v2/queues/line"),
    ]

    assert [response.status_code for response in refused] == [403] * 4
    assert names(read_only_api) == ["line"]
    assert read_only_api.get("/v2/queues/line").json()["lag"] == 1
