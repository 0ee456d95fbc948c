"""Endpoints elsewhere, and the third parties that they call; all over the server's own API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.remote.programs import Does, Program
from tests.rest.conftest import Api, account, api, hello, registry, stranger
from workflows_app.engine import drain, ports
from workflows_app.models import Run
from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed
from workflows_app.worker.transport import WorkflowTransport

__all__ = ["account", "api", "hello", "registry", "stranger"]

URL = "https://app.example/order"


@dataclass
class World(WorkflowTransport):
    programs: dict[str, Program] = field(default_factory=dict)
    answers: dict[str, list[Answer | SendFailed]] = field(default_factory=lambda: defaultdict(list))
    """Of third parties, by URL."""
    asked: list[Outgoing] = field(default_factory=list)
    """Requests to third parties."""

    def send(self, request: Outgoing) -> Answer:
        if request.url in self.programs:
            return self.programs[request.url].answer(request)
        self.asked.append(request)
        answer = self.answers[request.url].pop(0)
        if isinstance(answer, SendFailed):
            raise answer
        return answer


@pytest.fixture
def world() -> Iterator[World]:
    before, scripted = ports.get_transport(), World()
    ports.install_transport(scripted)
    yield scripted
    ports.install_transport(before)


Define = Callable[..., Program]


@pytest.fixture
def program(api: Api, world: World) -> Define:
    """Serve a program; at `/order` of its host, unless it is given another URL."""

    def define(*items: Does | list[Does], url: str = URL, returns: str = "") -> Program:
        made = Program(api, url, *items, returns=returns)
        world.programs[url] = made
        return made

    return define


@pytest.fixture
def work() -> Callable[[], int]:
    """Deliver all that is due by now."""
    return drain.drain_here


def the_run(run_id: str = "order-7") -> Run:
    """The newest of this id."""
    return Run.objects.filter(run_id=run_id).latest("id")


def answered(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """Keywords are headers, as `Retry_After="5"`."""
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return Answer(status=status, headers=named, body=body)
