"""Which road a delivery takes: to a function in this process, or over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from tests.shells import registry
from tests.worker.peers import Peer, Reply, serving
from workflows_app import Context, Failure, Workflow, workflow
from workflows_app.engine import leases
from workflows_app.engine.ports import Transport, Turn, TurnFailed, get_transport
from workflows_app.engine.triggering import trigger
from workflows_app.errors import Refused, UnknownWorkflow
from workflows_app.models import Account, Run
from workflows_app.protocol.durations import parse_duration
from workflows_app.protocol.exchange import Answer, Outgoing, SendFailed
from workflows_app.protocol.runs import Finished, History, RunRequest

__all__ = ["registry"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def peer(settings: Settings) -> Iterator[Peer]:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True}
    peer = Peer()
    with serving(peer):
        yield peer


@pytest.fixture
def transport() -> Transport:
    return get_transport()


def local(name: str = "story", **options: Any) -> Workflow:
    @workflow(name, **options)
    def story(context: Context) -> str:
        return "called here"

    return story


def a_turn(url: str, **request: Any) -> Turn:
    """The turn of a run that has just been triggered for this URL."""
    trigger(Account.objects.default(), [RunRequest(url=url, **request)])
    (lease,) = leases.claim(1)
    return Turn(run=lease.run, history=History(), lease=lease)


def test_a_workflow_that_is_registered_here_is_called_here(
    registry: Any, transport: Transport, peer: Peer
) -> None:
    local()

    assert transport.take_turn(a_turn(peer.url, workflow="story")) == Finished(
        result='"called here"'
    )
    assert peer.received == []


@pytest.mark.parametrize(
    ("of_the_workflow", "of_the_settings", "road"),
    [
        (None, "local", "here"),
        (None, "http", "http"),
        ("local", "http", "here"),
        ("http", "local", "http"),
        ("http", "http", "http"),
    ],
    ids=str,
)
def test_the_settings_say_which_road_and_the_workflow_before_them(
    of_the_workflow: Any,
    of_the_settings: str,
    road: str,
    registry: Any,
    transport: Transport,
    peer: Peer,
    settings: Settings,
) -> None:
    settings.WORKFLOWS = {"TRANSPORT": of_the_settings, "ALLOW_PRIVATE_ADDRESSES": True}
    local(transport=of_the_workflow)
    turn = a_turn(peer.url, workflow="story")

    if road == "here":
        assert transport.take_turn(turn) == Finished(result='"called here"')
    else:
        with pytest.raises(TurnFailed):
            transport.take_turn(turn)
    assert len(peer.received) == (road == "http")


def test_a_workflow_that_is_gone_is_not_looked_for_elsewhere(
    registry: Any, transport: Transport, peer: Peer
) -> None:
    with pytest.raises(UnknownWorkflow):
        transport.take_turn(a_turn(peer.url, workflow="gone"))

    assert peer.received == []


# -- failures


def a_failed_run(**fields: Any) -> Run:
    run = a_turn("https://app.example", **fields).run
    run.error = '{"type":"OSError","message":"no funds","stack":""}'
    return run


def test_someone_is_to_be_told_where_there_is_a_function_or_a_url(
    registry: Any, transport: Transport
) -> None:
    local("deaf")
    listening = local("listening")
    listening.on_failure(lambda failure: None)

    told = {
        name: transport.handles_failure(Run(workflow=name, failure_url=url))
        for name, url in (("deaf", ""), ("listening", ""), ("gone", ""), ("", ""))
    }
    assert told == {"deaf": False, "listening": True, "gone": False, "": False}
    assert transport.handles_failure(Run(workflow="deaf", failure_url="https://app.example"))
    assert transport.handles_failure(Run(workflow="", failure_url="https://app.example"))


def test_a_failure_function_is_called_here(registry: Any, transport: Transport) -> None:
    heard: list[Failure] = []
    story = local()

    @story.on_failure
    def hear(failure: Failure) -> Any:
        heard.append(failure)
        return {"paged": "ada"}

    answer = transport.call_failure_function(a_failed_run(workflow="story"), attempt=2)

    assert answer == Answer(status=200, headers={}, body=b'{"paged":"ada"}')
    assert [(each.error_message, each.attempt) for each in heard] == [("no funds", 2)]


def test_a_failure_function_that_is_gone_is_said_to_be(registry: Any, transport: Transport) -> None:
    local()

    with pytest.raises(Refused, match='workflow "story" has no failure function any more'):
        transport.call_failure_function(a_failed_run(workflow="story"), attempt=1)
    with pytest.raises(UnknownWorkflow):
        transport.call_failure_function(a_failed_run(workflow="gone"), attempt=1)


# -- everyone else


def test_requests_of_calls_go_out_as_they_are(transport: Transport, peer: Peer) -> None:
    peer.replies(Reply(status=418, body=b"teapot", headers={"X-Pot": "tea"}))

    answer = transport.send(
        Outgoing(
            method="POST",
            url=f"{peer.url}/brew",
            headers={"X-Tea": "green"},
            body=b"water",
            timeout=parse_duration("5s"),
        )
    )

    assert (answer.status, answer.body, answer.headers["X-Pot"]) == (418, b"teapot", ["tea"])
    (received,) = peer.received
    assert (received.path, received.body, received.headers["X-Tea"]) == ("/brew", b"water", "green")


def test_private_addresses_are_reached_only_where_the_settings_allow_it(
    transport: Transport, peer: Peer, settings: Settings
) -> None:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": False}
    request = Outgoing(
        method="POST", url=peer.url, headers={}, body=None, timeout=parse_duration("5s")
    )

    with pytest.raises(SendFailed, match="ALLOW_PRIVATE_ADDRESSES"):
        transport.send(request)
    assert peer.received == []
