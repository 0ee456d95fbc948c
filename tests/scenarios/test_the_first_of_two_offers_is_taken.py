"""A race and a map with threads, real commits, and both roads to the function."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.world import World, answer
from tests.rest.test_serve import over_http
from tests.shells import Define, Shell, define, registry, shell
from workflows_app import Workflow, notify
from workflows_app.engine import ports
from workflows_app.engine.drain import drain_here
from workflows_app.models import Message, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.faults import is_cancellation

__all__ = ["Shell", "define", "over_http", "registry", "shell"]

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 10


@pytest.fixture
def world() -> Iterator[World]:
    usual, scripted = ports.get_transport(), World()
    ports.install_transport(scripted)
    yield scripted
    ports.install_transport(usual)


@pytest.fixture(params=["local", "http"])
def offers(
    request: pytest.FixtureRequest, define: Define, over_http: Any, world: World
) -> Workflow:
    """Takes the first of an answer, an event and a reminder; then asks each guest."""

    @define("offers", transport=request.param)
    async def offers(context: Any) -> Any:
        async def ask() -> Any:
            return (await context.call("ask", url="https://peer.example/", retries=9)).body

        async def wait() -> Any:
            return (await context.wait_for_event("wait", "offered")).event_data

        async def remind() -> Any:
            await context.sleep("pause", "1h")
            await context.run("remind", int)
            await context.sleep("patience", "1d")
            return "nobody offered anything"

        async def invite(guest: str) -> Any:
            return await context.run("invite", lambda: f"{guest} comes")

        first = await context.race(ask, wait, remind)
        return [first, await context.map(invite, ["Ann", "Bo", "Cleo"], concurrency=2)]

    return offers


def lost() -> set[str]:
    return {step.key for step in Step.objects.all() if is_cancellation(step.error)}


GUESTS = ["Ann comes", "Bo comes", "Cleo comes"]


def test_an_event_comes_first(offers: Workflow, world: World, clock: Clock) -> None:
    world.answers(*[503] * 2)
    offers.trigger()
    drain_here()
    clock.advance("1h")
    drain_here()
    assert notify("offered", "a house")
    drain_here()

    assert decode_json(Run.objects.get().result or "") == ["a house", GUESTS]
    assert lost() == {"ask@1", "patience@3"}
    assert not Message.objects.exists()


def test_patience_ends_first(offers: Workflow, world: World, clock: Clock) -> None:
    world.answers(*[503] * 9)
    offers.trigger()
    for hours in ["0s", "1h", "1h", "1h", "22h"]:
        clock.advance(hours)
        drain_here()

    assert decode_json(Run.objects.get().result or "") == ["nobody offered anything", GUESTS]
    assert lost() == {"ask@1", "wait@2"}
    assert not Waiter.objects.exists()


def test_an_answer_comes_first(offers: Workflow, world: World, clock: Clock) -> None:
    world.answers(answer(200, b'"a flat"'))
    offers.trigger()
    drain_here()

    assert decode_json(Run.objects.get().result or "") == ["a flat", GUESTS]
    assert lost() == {"wait@2", "pause@3"}


@pytest.mark.parametrize("transport", ["local", "http"])
def test_a_slow_step_is_not_waited_for(
    transport: str, define: Define, over_http: Any, clock: Clock
) -> None:
    at_work, let_go = threading.Event(), threading.Event()

    def slow() -> None:
        at_work.set()
        let_go.wait(PATIENCE)

    @define("slow", transport=transport)
    async def story(context: Any) -> Any:
        first = await context.race(
            lambda: context.run("slow", slow), lambda: context.run("fast", at_work.wait, PATIENCE)
        )
        return [first, await context.run("after", lambda: let_go.is_set())]

    story.trigger()
    drain_here()
    let_go.set()

    assert decode_json(Run.objects.get().result or "") == [True, False]
    assert lost() == {"slow@1"}
