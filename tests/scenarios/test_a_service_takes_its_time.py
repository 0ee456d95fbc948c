"""A service that hardly answers any more holds up those who ask it, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.scenarios.workers import PATIENCE, at_work, wait_until
from tests.worker.peers import Peer, Received, Reply, serving
from workflows_app import Context, Workflow, workflow
from workflows_app.models import Run

pytestmark = pytest.mark.django_db(transaction=True)

SLOW, FAST = 200, 100


class Service(Peer):
    """Reached over real connections; keeps all who ask waiting until it recovers."""

    def __init__(self) -> None:
        super().__init__()
        self.recovered = threading.Event()

    def reply(self, received: Received) -> Reply:
        reply = super().reply(received)
        self.recovered.wait(PATIENCE)
        return reply


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    with serving(service):
        yield service
        service.recovered.set()


@pytest.fixture
def asking(registry: dict[str, Workflow], service: Service) -> Workflow:
    @workflow("asking")
    def asking(context: Context) -> int:
        return context.call("ask", url=service.url, method="POST").status

    return asking


@pytest.fixture
def calculating(registry: dict[str, Workflow]) -> Workflow:
    @workflow("calculating")
    def calculating(context: Context) -> int:
        return context.run("first", int, 1) + context.run("second", int, 1)

    return calculating


def test_runs_finish_while_hundreds_of_others_wait_for_a_slow_service(
    asking: Workflow, calculating: Workflow, service: Service, settings: Settings
) -> None:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True}
    asking.trigger_many([None] * SLOW)

    with at_work():
        wait_until(lambda: len(service.received) == SLOW)
        calculating.trigger_many([None] * FAST)
        wait_until(lambda: Run.objects.filter(workflow="calculating", result="2").count() == FAST)
        assert Run.objects.live().count() == SLOW

        service.recovered.set()
        wait_until(lambda: Run.objects.filter(workflow="asking", result="200").count() == SLOW)
