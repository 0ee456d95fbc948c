"""A payment provider is down for too long. The run fails, somebody is paged, and an operator
resumes it by REST once the provider is back: nothing that was done is done again.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.conftest import Clock
from tests.scenarios.conftest import Api
from tests.scenarios.workers import at_work, ended, wait_until
from workflows_app import Context, Failure, Workflow, workflow
from workflows_app.models import DeadLetter, Run

pytestmark = pytest.mark.django_db(transaction=True)


class Provider:
    """Of payments. Knows an idempotency key that it has seen."""

    def __init__(self) -> None:
        self.is_up = False
        self.asked = 0
        self.paid: dict[str, int] = {}

    def charge(self, amount: int, key: str) -> str:
        self.asked += 1
        if not self.is_up:
            raise ConnectionError("the provider is down")
        self.paid[key] = amount
        return f"paid {amount}"


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def paged() -> list[Failure]:
    return []


@pytest.fixture
def reserved() -> list[int]:
    return []


@pytest.fixture
def checkout(
    registry: dict[str, Workflow], provider: Provider, paged: list[Failure], reserved: list[int]
) -> Workflow:
    @workflow("checkout", retries=2, retry_delay="60000")
    def checkout(context: Context) -> list[object]:
        def pay(amount: int) -> str:
            return provider.charge(amount, context.idempotency_key)

        def reserve() -> int:
            reserved.append(25)
            return 25

        amount = context.run("reserve", reserve)
        receipt = context.run("pay", pay, amount)
        return [amount, context.run("ship", lambda: f"shipped after {receipt}")]

    checkout.on_failure(paged.append)
    return checkout


def test_a_payment_is_repaired(
    checkout: Workflow,
    provider: Provider,
    paged: list[Failure],
    reserved: list[int],
    clock: Clock,
    api: Api,
) -> None:
    checkout.trigger({"basket": 7}, workflow_run_id="order-7")
    with at_work():
        # It is tried three times, a minute apart.
        for attempts in (1, 2):
            wait_until(partial(has_failed, "order-7", attempts))
            clock.advance("1m")
        failed = ended("order-7")
        wait_until(lambda: bool(paged))

        # Somebody was paged, and looks.
        (failure,) = paged
        assert (failure.step, failure.request_payload) == ("pay", {"basket": 7})
        (letter,) = api.get("/v2/workflows/dlq")["messages"]
        assert letter["workflowRunId"] == failed.run_id == "order-7"

        # The provider is back.
        provider.is_up = True
        resumed = api.post(f"/v2/workflows/dlq/resume/{letter['dlqId']}")
        run = ended(resumed["workflowRunId"])

    assert run.result == '[25,"shipped after paid 25"]'
    assert reserved == [25]
    assert provider.asked == 4
    assert list(provider.paid.values()) == [25]
    assert api.get("/v2/workflows/dlq")["messages"] == []
    shown = {each["workflowRunId"]: each["workflowState"] for each in logs(api)}
    assert shown == {"order-7": "RUN_FAILED", run.run_id: "RUN_SUCCESS"}


def has_failed(run_id: str, attempts: int) -> bool:
    """So often, and waits for its next attempt."""
    run = Run.objects.get(run_id=run_id)
    return run.attempts.count() == attempts and run.messages.filter(token=None).exists()


def logs(api: Api) -> list[dict[str, str]]:
    found: list[dict[str, str]] = api.get("/v2/workflows/logs")["runs"]
    return found


def test_a_payment_that_nobody_wants_any_more_is_dropped(
    checkout: Workflow, clock: Clock, api: Api
) -> None:
    checkout.trigger(retries=0, workflow_run_id="order-7")
    with at_work():
        ended("order-7")
        wait_until(DeadLetter.objects.filter(callback_state="succeeded").exists)
        (letter,) = api.get("/v2/workflows/dlq")["messages"]
        api.delete(f"/v2/workflows/dlq/{letter['dlqId']}")

    assert api.get("/v2/workflows/dlq")["messages"] == []
    assert Run.objects.get().status == "failed"
