"""A run asks many services at once and sleeps until they have answered: it holds no worker, however
slow or moody they are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from tests.scenarios.conftest import Api
from tests.scenarios.workers import at_work, ended
from tests.worker.peers import Peer, Received, Reply, serving
from workflows_app import AsyncContext, CallResponse, Workflow, workflow
from workflows_app.models import Attempt, Step

pytestmark = pytest.mark.django_db(transaction=True)


class Shops(Peer):
    """Twelve of them. One is closed, and one is too busy when it is asked for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self._was_busy = False

    def reply(self, received: Received) -> Reply:
        super().reply(received)
        shop = received.path.removeprefix("/")
        if shop == "shop-3":
            return Reply(status=404, body=b"closed")
        if shop == "shop-5" and not self._was_busy:
            self._was_busy = True
            return Reply(status=429, headers={"Retry-After": "0.1"})
        product = json.loads(received.body)["product"]
        return Reply(body=json.dumps({"product": product, "price": len(shop) * 100}).encode())


@pytest.fixture
def shops(settings: Settings) -> Iterator[Shops]:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True}
    shops = Shops()
    with serving(shops):
        yield shops


@pytest.fixture
def compare(registry: dict[str, Workflow], shops: Shops) -> Workflow:
    @workflow("compare-prices")
    async def compare(context: AsyncContext) -> dict[str, Any]:
        async def ask(shop: str) -> CallResponse:
            return await context.call(
                "ask",
                url=f"{shops.url}/{shop}",
                method="POST",
                body={"product": context.request_payload},
                retries=2 if shop == "shop-5" else 0,
                retry_delay="3600000",
            )

        names = [f"shop-{number}" for number in range(12)]
        answers = await asyncio.gather(*(ask(name) for name in names))
        prices = [answer.body["price"] for answer in answers if answer.status == 200]
        return {
            "closed": [
                name for name, answer in zip(names, answers, strict=True) if answer.status != 200
            ],
            "cheapest": await context.run("choose", min, prices),
            "asked": len(prices),
        }

    return compare


def test_prices_are_compared(compare: Workflow, shops: Shops, api: Api) -> None:
    compare.trigger("teapot", workflow_run_id="compare-7")
    with at_work():
        run = ended("compare-7")

    assert run.status == "succeeded", run.error
    assert json.loads(run.result or "") == {"closed": ["shop-3"], "cheapest": 600, "asked": 11}
    assert Step.objects.filter(run=run, kind="call").count() == 12
    assert len(shops.received) == 13
    assert Attempt.objects.get().key == "ask@6", "the busy one was asked again when it said"
    (shown,) = api.get("/v2/workflows/logs?workflowRunId=compare-7")["runs"]
    assert shown["workflowState"] == "RUN_SUCCESS"
