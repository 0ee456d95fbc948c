"""Batches that come at the same time and share what they name, over real database sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.engine.test_races import at_once
from tests.rest.conftest import Api, account, api
from workflows_app.models import Deduplication, Message, Publication, Run
from workflows_app.protocol.ids import start_message_id

__all__ = ["account", "api"]

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://shop.example/mail"
NAMES = [f"order-{number}" for number in range(12)]
ROUNDS = 4

Headers = Callable[[str], dict[str, str]]


def deduplicated(name: str) -> dict[str, str]:
    return {"Upstash-Deduplication-Id": name}


def limited(name: str) -> dict[str, str]:
    return {"Upstash-Flow-Control-Key": name, "Upstash-Flow-Control-Value": "parallelism=1"}


def started(name: str) -> dict[str, str]:
    return {"Upstash-Workflow-Init": "true", "Upstash-Workflow-RunId": name}


def batch(api: Api, names: list[str], headers: Headers, **more: Any) -> Any:
    items = [{"destination": URL, "headers": headers(name), **more} for name in names]
    return api.post("/v2/batch", json.dumps(items))


@pytest.mark.parametrize("headers", [deduplicated, limited, started])
def test_batches_that_share_names_in_different_orders_do_not_wait_for_each_other(
    api: Api, headers: Headers
) -> None:
    for turn in range(ROUNDS):
        names = [f"{name}-{turn}" for name in NAMES]
        answers = at_once(
            partial(batch, api, names, headers), partial(batch, api, names[::-1], headers)
        )

        assert [answer.status_code for answer in answers] == [200, 200]
        assert {len(answer.json()) for answer in answers} == {len(NAMES)}


def test_of_batches_that_race_each_id_is_published_once(api: Api) -> None:
    orders = [NAMES, NAMES[::-1], NAMES[6:] + NAMES[:6]]

    answers = at_once(*(partial(batch, api, order, deduplicated) for order in orders))

    assert [answer.status_code for answer in answers] == [200] * 3
    assert Publication.objects.count() == Message.objects.count() == len(NAMES)
    by_name = [
        {name: item["messageId"] for name, item in zip(order, answer.json(), strict=True)}
        for order, answer in zip(orders, answers, strict=True)
    ]
    assert by_name[0] == by_name[1] == by_name[2]


def test_a_batch_and_single_messages_that_share_ids_and_a_queue_all_come_through(
    api: Api,
) -> None:
    for turn in range(ROUNDS):
        names = [f"{name}-{turn}" for name in NAMES]

        def enqueue(name: str) -> Any:
            return api.post(f"/v2/enqueue/line/{URL}", "x", upstash_deduplication_id=name)

        answers = at_once(
            partial(batch, api, names, deduplicated, queue="line"),
            partial(enqueue, names[-1]),
            partial(enqueue, names[0]),
        )

        assert {answer.status_code for answer in answers} <= {200, 202}
    assert Publication.objects.count() == ROUNDS * len(NAMES)


def test_a_batch_that_is_refused_leaves_its_ids_free(api: Api) -> None:
    items = [
        {"destination": URL, "headers": deduplicated("order-7")},
        {"destination": "no such group", "headers": {}},
    ]

    refused = api.post("/v2/batch", json.dumps(items))

    assert refused.status_code == 400
    assert refused.json()["error"].startswith("item 1: ")
    assert not Deduplication.objects.exists()
    assert (
        api.post(f"/v2/publish/{URL}", "x", upstash_deduplication_id="order-7").status_code == 200
    )


def test_answers_stand_in_the_order_of_the_items_however_runs_are_named(api: Api) -> None:
    names = ["b", "c", "a"]

    answer = batch(api, names, started).json()

    ids = dict(Run.objects.values_list("run_id", "pk"))
    assert [item["messageId"] for item in answer] == [start_message_id(ids[name]) for name in names]
