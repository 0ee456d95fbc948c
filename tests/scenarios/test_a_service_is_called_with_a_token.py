"""A run calls a service with a token. The service gets it; nobody who looks at the run does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.conftest import Clock
from tests.engine.world import World, answer
from tests.rest.test_serve import over_http
from tests.scenarios.conftest import Api
from tests.shells import Define, Shell, define, shell
from workflows_app import Workflow
from workflows_app.engine import ports
from workflows_app.engine.drain import drain_here
from workflows_app.models import Attempt, Message, Run, Step

__all__ = ["Shell", "define", "over_http", "shell"]

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "hush-hush"


@pytest.fixture
def world() -> Iterator[World]:
    usual, scripted = ports.get_transport(), World()
    ports.install_transport(scripted)
    yield scripted
    ports.install_transport(usual)


@pytest.fixture(params=["local", "http"])
def chat(request: pytest.FixtureRequest, define: Define, over_http: Any) -> Workflow:
    @define("chat", transport=request.param)
    async def chat(context: Any) -> Any:
        answer = await context.api.anthropic.call(
            "ask",
            token=TOKEN,
            operation="messages.create",
            body={"model": "m", "messages": []},
            retries=1,
            retry_delay="60000",
        )
        return answer.body["text"]

    return chat


def seen(api: Api, admin: Client) -> str:
    """All that people and programs are shown of the run."""
    run = Run.objects.get()
    pages = [f"/admin/workflows_app/run/{run.pk}/change/"]
    pages += [f"/admin/workflows_app/message/{each.pk}/change/" for each in Message.objects.all()]
    told = [api.get(f"/v2/workflows/{name}") for name in ("logs", "events")]
    answers = [admin.get(page) for page in pages]
    assert {answer.status_code for answer in answers} == {200}
    shown = "\n".join([*(answer.content.decode() for answer in answers), repr(told)])
    assert "api.anthropic.com" in shown
    return shown


def test_the_token_reaches_the_service_and_is_shown_nowhere(
    chat: Workflow,
    world: World,
    clock: Clock,
    api: Api,
    admin: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    world.answers(answer(529, b"overloaded"), answer(200, b'{"text":"Hello"}'))

    chat.trigger()
    drain_here(limit=1)
    assert TOKEN not in seen(api, admin)
    drain_here()
    assert TOKEN not in seen(api, admin)
    clock.advance("1m")
    drain_here()

    assert [sent.headers["X-Api-Key"] for sent in world.sent] == [TOKEN, TOKEN]
    assert Run.objects.get().result == '"Hello"'
    assert TOKEN not in seen(api, admin)
    assert TOKEN not in caplog.text
    stored = [*Step.objects.values(), *Attempt.objects.values(), *Run.objects.values()]
    assert TOKEN not in repr(stored)
