"""`/realtime` and its tickets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client
from pytest_django import Settings

from tests.admin import flows
from tests.conftest import Clock
from tests.rest.conftest import Api, answer_of
from workflows_app.engine import accounts, run_moves
from workflows_app.models import Account, Run, Token

THREADS: dict[str, Any] = {"wsgi.multithread": True}
"""Of a server; that of the tests' client has one."""
WORTHLESS = "this ticket is unknown or has expired; get another one from POST /realtime/tickets"


class Reader:
    """What an `EventSource` makes of a stream."""

    def __init__(self, response: Any) -> None:
        assert response.status_code == 200, response.content
        assert response["Content-Type"] == "text/event-stream"
        self.response = response
        self.last_event_id = ""

    def read(self) -> list[dict[str, Any]]:
        """The events that come next."""
        return self._events(next(self.response.streaming_content))

    def read_all(self) -> list[dict[str, Any]]:
        return self._events(b"".join(self.response.streaming_content))

    def leave(self) -> None:
        self.response._iterator.close()

    def _events(self, content: bytes) -> list[dict[str, Any]]:
        events = []
        for line in content.decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_event_id = value
            elif name == "data":
                events.append(json.loads(value))
        return events


def follow(api: Api, path: str = "/realtime", **headers: str) -> Any:
    """With headers such as `last_event_id`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().get(path, headers={**api._headers({}), **sent}, **THREADS)


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


STORY = ["run.accepted", "run.started", "step.finished", "run.ended"]


def test_a_run_is_told_to_its_end_with_results(
    read_only_api: Api, hello: str, api: Api, work: Callable[[], int], clock: Clock
):
    api.post(f"/v2/trigger/{hello}", '"x"', upstash_workflow_runid="greeting")
    work()

    events = Reader(follow(read_only_api, "/realtime?run=greeting")).read_all()

    assert types(events) == STORY
    moment = 1893585600000
    told = {"time": moment, "runId": "greeting", "workflow": "hello", "createdAt": moment}
    assert events[2] == {
        **told,
        "type": "step.finished",
        "step": "greet",
        "key": "greet",
        "kind": "run",
        "attempt": 1,
        "startedAt": moment,
        "result": "x",
    }
    assert events[3] == {
        **told,
        "type": "run.ended",
        "status": "succeeded",
        "result": {"hello": "x"},
    }


def test_who_comes_again_goes_on_and_does_not_after_the_end(
    api: Api, hello: str, work: Callable[[], int]
):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="greeting")
    reader = Reader(follow(api, "/realtime?run=greeting"))
    assert types(reader.read()) == STORY[:1]
    reader.leave()
    work()

    again = Reader(follow(api, "/realtime?run=greeting", last_event_id=reader.last_event_id))
    assert types(again.read_all()) == STORY[1:]

    last = f"/realtime?run=greeting&lastEventId={again.last_event_id}"
    assert follow(api, last).status_code == 204


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("", {"mine", "labelled"}),
        ("?workflow=hello", {"mine", "labelled"}),
        ("?workflow=other", set()),
        ("?label=a,b", {"labelled"}),
    ],
)
def test_many_runs_of_an_account_are_followed(
    api: Api, stranger: Api, hello: str, work: Callable[[], int], query: str, known: set[str]
):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="before")
    reader = Reader(follow(api, f"/realtime{query}"))
    assert reader.read() == []
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="mine")
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="labelled", upstash_label="b")
    stranger.post(f"/v2/trigger/{hello}", upstash_workflow_runid="theirs")

    if known:
        assert {event["runId"] for event in reader.read()} == known
    reader.leave()

    again = Reader(follow(api, f"/realtime{query}", last_event_id=reader.last_event_id))
    assert again.read() == []
    again.leave()


def test_a_revoked_token_hears_no_more(api: Api, hello: str, work: Callable[[], int]):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="greeting")
    reader = Reader(follow(api, "/realtime?run=greeting"))
    reader.read()

    accounts.revoke_token(Token.objects.get())
    work()

    assert reader.read_all() == []


# -- tickets


def ticket_for(api: Api, query: str) -> str:
    response = api.post(f"/realtime/tickets{query}")
    assert response.status_code == 200, response.content
    ticket: str = response.json()["ticket"]
    return ticket


def by_ticket(ticket: str) -> Any:
    return Client().get("/realtime", {"ticket": ticket}, **THREADS)


def test_a_ticket_lets_a_browser_follow_its_run_from_any_page(
    api: Api, read_only_api: Api, hello: str, work: Callable[[], int]
):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="greeting")
    work()

    response = by_ticket(ticket_for(read_only_api, "?run=greeting"))

    assert types(Reader(response).read_all()) == STORY
    assert response["Access-Control-Allow-Origin"] == "*"


def test_a_ticket_is_for_the_run_that_had_the_id_when_it_was_given(
    api: Api, hello: str, work: Callable[[], int]
):
    api.post(f"/v2/trigger/{hello}", "1", upstash_workflow_runid="greeting")
    ticket = ticket_for(api, "?run=greeting")
    work()
    api.post(f"/v2/trigger/{hello}", "2", upstash_workflow_runid="greeting")
    work()

    assert Reader(by_ticket(ticket)).read_all()[-1]["result"] == {"hello": 1}


def test_a_ticket_is_good_for_some_minutes(api: Api, hello: str, clock: Clock):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="greeting")
    answer = api.post("/realtime/tickets?run=greeting").json()
    assert answer["expiresAt"] == 1893585600000 + 15 * 60_000

    clock.advance("15m")

    assert answer_of(by_ticket(answer["ticket"])) == (401, {"error": WORTHLESS})


def test_a_ticket_is_worth_nothing_once_its_token_is_revoked(api: Api, hello: str):
    ticket = ticket_for(api, "?workflow=hello")
    accounts.revoke_token(Token.objects.get())

    assert answer_of(by_ticket(ticket)) == (401, {"error": WORTHLESS})


def test_a_ticket_opens_nothing_else(api: Api, hello: str):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="greeting")
    ticket = ticket_for(api, "?run=greeting")

    widened = Client().get("/realtime", {"ticket": ticket, "workflow": "hello"}, **THREADS)
    assert answer_of(widened) == (
        400,
        {"error": "a ticket says itself which runs it is for; send it alone"},
    )
    assert Client().get("/v2/workflows/logs", {"ticket": ticket}).status_code == 401
    assert Client().post(f"/realtime/tickets?ticket={ticket}").status_code == 401
    assert by_ticket(ticket[:-1] + ("A" if ticket[-1] != "A" else "B")).status_code == 401


# -- who may not, and what cannot be


@pytest.mark.parametrize("method", ["get", "post"])
def test_nothing_is_told_without_a_token(db: None, method: str):
    path = "/realtime" if method == "get" else "/realtime/tickets"

    assert getattr(Client(), method)(path).status_code == 401


@pytest.mark.parametrize("path", ["/realtime?run=greeting", "/realtime/tickets?run=greeting"])
def test_runs_of_another_account_are_not_there(api: Api, stranger: Api, hello: str, path: str):
    api.post(f"/v2/trigger/{hello}", upstash_workflow_runid="greeting")
    ask = stranger.post if "tickets" in path else stranger.get

    assert answer_of(ask(path)) == (
        404,
        {"error": 'there is no run "greeting" in this account'},
    )


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("runs=x", "'runs' is not a filter here; known are "),
        ("run=", "run is empty"),
        ("run=greeting&label=a", "run names one run"),
        ("lastEventId=x", "Last-Event-ID is none of this server"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(api: Api, query: str, sentence: str):
    status, body = answer_of(follow(api, f"/realtime?{query}"))

    assert status == 400
    assert body["error"].startswith(sentence)


def test_where_no_stream_is_left_one_is_told_to_come_later(api: Api, settings: Settings):
    settings.WORKFLOWS = {"STREAMS": 0}

    response = follow(api)

    assert answer_of(response) == (
        503,
        {"error": "no more streams can be open here; come again, or read the logs"},
    )
    assert response["Retry-After"] == "10"
    assert api.get("/realtime").status_code == 503  # of one thread


async def test_an_event_loop_reads_the_same(transactional_db: None, async_client: AsyncClient):
    def prepare() -> Api:
        api = Api(accounts.create_token(Account.objects.default(), "full", Token.Scope.FULL))
        flows.order.trigger(workflow_run_id="order")
        run_moves.cancel(Run.objects.get())
        return api

    api = await sync_to_async(prepare)()
    response: Any = await async_client.get("/realtime?run=order", headers=api._headers({}))

    content = b"".join([part async for part in response.streaming_content]).decode()
    events = [json.loads(line[6:]) for line in content.splitlines() if line.startswith("data: ")]
    assert types(events) == ["run.accepted", "run.ended"]
