"""Workflow functions registered here, and failure URLs, that are reached over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from tests.conftest import Clock
from tests.shells import registry
from tests.worker.peers import Peer, Received, Reply, serving
from workflows_app import workflow
from workflows_app.engine import delivery, leases, run_moves
from workflows_app.engine.accounts import rotate_signing_keys
from workflows_app.engine.drain import drain_here
from workflows_app.engine.triggering import trigger
from workflows_app.errors import InvalidSignature
from workflows_app.models import Account, Attempt, DeadLetter, Message, Run, Step
from workflows_app.protocol.runs import (
    UNDO,
    Canceled,
    Failed,
    FailedAttempt,
    Failures,
    Finished,
    History,
    RunRequest,
    StepKind,
    StepRecord,
    Suspended,
)
from workflows_app.protocol.signing import verify
from workflows_app.protocol.wire import (
    ANSWER_CONTENT_TYPE,
    TURN_CONTENT_TYPE,
    TurnAnswer,
    decode_turn,
    encode_answer,
)
from workflows_app.worker.local import run_info

__all__ = ["registry"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def peer(registry: Any, settings: Settings, clock: Clock) -> Iterator[Peer]:
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": True}
    workflow("served", transport="http")(lambda context: None)
    peer = Peer()
    with serving(peer):
        yield peer


def start(peer: Peer, **request: Any) -> Run:
    defaults = {
        "workflow": "served",
        "url": f"{peer.url}/hook?tenant=north",
        "retries": 1,
        "retry_delay": "1000",
    }
    (started,) = trigger(Account.objects.default(), [RunRequest(**{**defaults, **request})])
    return started.run


def a_step(clock: Clock, key: str = "a", **changes: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "key": key,
        "name": key,
        "kind": StepKind.RUN,
        "branch": "",
        "input": None,
        "result": "1",
        "error": None,
        "attempts": 1,
        "started_at": clock.now,
        "ended_at": clock.now,
    }
    return StepRecord(**{**fields, **changes})


def did(outcome: Any, *steps: StepRecord, attempts: tuple[FailedAttempt, ...] = ()) -> Reply:
    """The answer of an endpoint to a delivery."""
    body = encode_answer(TurnAnswer(steps=steps, attempts=attempts, outcome=outcome))
    return Reply(body=body, headers={"Content-Type": ANSWER_CONTENT_TYPE})


def is_signed(received: Received, url: str, clock: Clock) -> bool:
    keys = Account.objects.default().signing_keys
    try:
        verify(
            received.headers["Upstash-Signature"],
            received.body,
            url=url,
            keys=keys[:1],
            now=clock.now,
        )
    except InvalidSignature:
        return False
    return True


# -- turns


def test_a_delivery_is_a_signed_request_with_the_run_and_its_history(
    peer: Peer, clock: Clock
) -> None:
    run = start(
        peer,
        body=b'{"id":7}',
        headers={"X-Tenant": "north"},
        run_id="order-7",
        labels=("vip",),
        timeout=timedelta(seconds=5),
    )
    first = a_step(clock, "a")
    peer.replies(did(Suspended(wake_at=clock.now), first), did(Finished(result='"done"')))
    drain_here()

    one, two = peer.received
    assert (one.method, one.path) == ("POST", "/hook?tenant=north")
    assert decode_turn(one.body) == (run_info(run), History())
    assert decode_turn(two.body) == (run_info(run), History(steps=(first,)))
    assert is_signed(one, run.url, clock)
    assert not is_signed(one, f"{peer.url}/hook", clock)
    headers = {name: value for name, value in one.headers.items() if name != "Upstash-Signature"}
    assert headers == {
        "Host": peer.url.removeprefix("http://"),
        "Accept-Encoding": "identity",
        "Content-Length": str(len(one.body)),
        "Content-Type": TURN_CONTENT_TYPE,
        "User-Agent": "Upstash-QStash",
        "Upstash-Workflow-Runid": "order-7",
        "Upstash-Workflow-Url": run.url,
        "Upstash-Workflow-Createdat": "1893585600000",
        "X-Tenant": "north",
    }
    run.refresh_from_db()
    assert (run.status, run.result) == ("succeeded", '"done"')


def test_headers_of_the_run_cannot_pass_for_those_of_the_server(peer: Peer, clock: Clock) -> None:
    run = start(
        peer,
        run_id="order-7",
        headers={"upstash-signature": "forged", "UPSTASH-WORKFLOW-RUNID": "order-8"},
    )
    peer.replies(did(Finished()))
    drain_here()

    (received,) = peer.received
    names = [name.lower() for name in received.headers]
    assert names.count("upstash-signature") == names.count("upstash-workflow-runid") == 1
    assert is_signed(received, run.url, clock)
    assert received.headers["Upstash-Workflow-Runid"] == "order-7"


def test_what_the_endpoint_did_is_stored_with_how_it_ended(peer: Peer, clock: Clock) -> None:
    run = start(peer)
    began, until = clock.now, clock.now + timedelta(hours=1)
    attempt = FailedAttempt(
        key="b",
        number=1,
        error='{"type":"OSError","message":"down"}',
        started_at=began,
        ended_at=clock.now,
        retry_at=until,
    )
    peer.replies(did(Suspended(wake_at=until), a_step(clock), attempts=(attempt,)))
    drain_here()

    assert list(Step.objects.values_list("key", "result")) == [("a", "1")]
    assert [(each.key, each.retry_at) for each in Attempt.objects.all()] == [("b", until)]
    assert Message.objects.get().due_at == until
    clock.stop_at(until)
    peer.replies(did(Finished()))
    drain_here()
    _, history = decode_turn(peer.received[1].body)
    first = Failures(count=1, retry_at=until, started_at=began)
    assert history.failures == {"b": first}
    run.refresh_from_db()
    assert run.status == "succeeded"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Canceled(), "canceled"), (Failed(error='{"type":"E","message":"m"}'), "failed")],
    ids=["canceled", "failed"],
)
def test_an_endpoint_may_end_its_run_otherwise(outcome: Any, status: str, peer: Peer) -> None:
    run = start(peer)
    peer.replies(did(outcome))
    drain_here()

    run.refresh_from_db()
    assert run.status == status


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(status=500, body=b"broken"), "{url} answered 500"),
        (Reply(status=404), "{url} answered 404"),
        (Reply(status=200, body=b"hello"), "{url} answered 200"),
        (
            Reply(status=500, body=b"{}", headers={"Content-Type": ANSWER_CONTENT_TYPE}),
            "{url} answered 500",
        ),
    ],
    ids=["500", "404", "not an answer", "an answer with 500"],
)
def test_an_endpoint_that_does_not_answer_a_delivery_is_tried_again(
    reply: Reply, message: str, peer: Peer, clock: Clock
) -> None:
    run = start(peer)
    peer.replies(reply, did(Finished()))
    drain_here()

    attempt = Attempt.objects.get()
    assert (attempt.key, attempt.number) == ("", 1)
    assert attempt.retry_at == clock.now + timedelta(seconds=1)
    info = attempt.error_info
    assert info["message"] == (
        f"{message.format(url=run.url)}, not as a workflow endpoint answers a delivery"
    )
    assert (info["type"], info["status"], info["body"]) == (
        "HttpError",
        reply.status,
        reply.body.decode(),
    )
    clock.advance("1s")
    drain_here()
    run.refresh_from_db()
    assert run.status == "succeeded"


def test_a_run_whose_function_has_failed_for_good_is_still_rolled_back_in_several_attempts(
    peer: Peer, clock: Clock
) -> None:
    run = start(peer, retries=1)
    error = '{"type":"E","message":"m"}'
    last = FailedAttempt(
        key="",
        number=2,
        error=error,
        started_at=clock.now,
        ended_at=clock.now,
        retry_at=None,
    )
    first = replace(last, number=1, retry_at=clock.now)
    begun = a_step(clock, UNDO, kind=StepKind.ROLLBACK, result='["a"]', error=error)
    peer.replies(
        did(Suspended(wake_at=clock.now), a_step(clock), attempts=(first,)),
        did(Suspended(wake_at=clock.now + timedelta(hours=1)), begun, attempts=(last,)),
    )
    drain_here()
    clock.advance("1h")
    peer.replies(Reply(status=503), did(Failed(error=error)))
    drain_here()

    run.refresh_from_db()
    assert run.is_live
    clock.advance("1s")
    drain_here()
    run.refresh_from_db()
    assert (run.status, run.error) == ("failed", error)
    assert len(peer.received) == 4


def test_an_endpoint_that_answers_nonsense_to_the_last_fails_the_run(
    peer: Peer, clock: Clock
) -> None:
    run = start(peer)
    nonsense = Reply(body=b"{}", headers={"Content-Type": ANSWER_CONTENT_TYPE})
    peer.replies(nonsense, nonsense)
    drain_here()
    clock.advance("1s")
    drain_here()

    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error_info is not None
    assert (run.error_info["type"], run.error_info["message"]) == (
        "InvalidInput",
        "the endpoint's answer is not that of a turn: KeyError('steps')",
    )
    assert DeadLetter.objects.count() == 1


def test_an_endpoint_that_cannot_be_reached_is_tried_again(
    peer: Peer, settings: Settings, clock: Clock
) -> None:
    start(peer)
    settings.WORKFLOWS = {"ALLOW_PRIVATE_ADDRESSES": False}
    drain_here()

    info = Attempt.objects.get().error_info
    assert info["status"] == 502
    assert "ALLOW_PRIVATE_ADDRESSES" in info["body"]
    assert peer.received == []


def test_what_was_done_for_a_run_that_was_cancelled_meanwhile_is_dropped(
    peer: Peer, clock: Clock
) -> None:
    run = start(peer)
    (lease,) = leases.claim(1)
    run_moves.cancel(run)
    peer.replies(did(Finished(result="1"), a_step(clock)))
    delivery.deliver(lease)

    run.refresh_from_db()
    assert (run.status, run.result) == ("canceled", None)
    assert not Step.objects.exists()


def test_deliveries_are_signed_with_the_current_key(peer: Peer, clock: Clock) -> None:
    run = start(peer)
    rotate_signing_keys(Account.objects.default())
    peer.replies(did(Finished()))
    drain_here()

    assert is_signed(peer.received[0], run.url, clock)


# -- failure URLs


def fail(peer: Peer, **request: Any) -> Run:
    run = start(
        peer,
        failure_url=f"{peer.url}/failed",
        run_id="order-7",
        body=b'{"id":7}',
        headers={"Authorization": "Bearer for the endpoint"},
        caller_ip="203.0.113.9",
        **request,
    )
    peer.replies(did(Failed(error='{"type":"OSError","message":"no funds","stack":"..."}')))
    drain_here(limit=1)
    peer.received.clear()
    return run


def test_a_failure_url_is_told_by_a_signed_request(peer: Peer, clock: Clock) -> None:
    run = fail(peer)
    peer.replies(Reply(status=201, body=b"noted", headers={"X-Ticket": "9"}))
    drain_here()

    (received,) = peer.received
    assert received.path == "/failed"
    assert is_signed(received, f"{peer.url}/failed", clock)
    assert "Authorization" not in received.headers
    assert received.headers["Upstash-Workflow-Runid"] == "order-7"
    assert received.headers["Upstash-Workflow-Is-Failure"] == "true"
    body = json.loads(received.body)
    assert json.loads(base64.b64decode(body.pop("body"))) == {
        "error": "OSError",
        "message": "no funds",
    }
    assert body == {
        "status": 500,
        "header": {},
        "retried": 1,
        "maxRetries": 1,
        "dlqId": DeadLetter.objects.get().public_id,
        "url": run.url,
        "method": "POST",
        "sourceHeader": {},
        "sourceBody": base64.b64encode(b'{"id":7}').decode(),
        "workflowRunId": "order-7",
        "workflowCreatedAt": 1893585600000,
        "sourceMessageId": f"msg_r{run.pk}",
        "notBefore": 1893585600000,
        "createdAt": 1893585600000,
        "callerIP": "203.0.113.9",
    }
    letter = DeadLetter.objects.get()
    assert letter.callback_state == "succeeded"
    response = json.loads(letter.callback_response)
    assert (response["status"], response["body"]) == (201, "noted")
    assert response["headers"]["X-Ticket"] == ["9"]


def test_a_failure_url_that_does_not_listen_is_told_again(peer: Peer, clock: Clock) -> None:
    fail(peer)
    peer.replies(Reply(status=503, body=b"busy"), Reply())
    drain_here()
    assert Message.objects.get().due_at == clock.now + timedelta(seconds=1)
    clock.advance("1s")
    drain_here()

    assert [each.headers["Upstash-Retried"] for each in peer.received] == ["0", "1"]
    assert DeadLetter.objects.get().callback_state == "succeeded"


def test_a_failure_url_may_say_when_to_be_told_again(peer: Peer, clock: Clock) -> None:
    fail(peer)
    peer.replies(Reply(status=429, headers={"Retry-After": "90"}))
    drain_here()

    assert Message.objects.get().due_at == clock.now + timedelta(seconds=90)


@pytest.mark.parametrize(
    "final",
    [Reply(status=489), Reply(status=500, headers={"Upstash-NonRetryable-Error": "true"})],
    ids=["489", "header"],
)
def test_a_failure_url_may_refuse_for_good(final: Reply, peer: Peer) -> None:
    fail(peer)
    peer.replies(final)
    drain_here()

    assert DeadLetter.objects.get().callback_state == "failed"
    assert not Message.objects.exists()


def test_a_failure_url_takes_the_place_of_the_failure_function(peer: Peer, clock: Clock) -> None:
    fail(peer, retries=0)
    peer.replies(Reply(status=500, body=b"broken"))
    drain_here()

    letter = DeadLetter.objects.get()
    assert letter.callback_state == "failed"
    assert json.loads(letter.callback_response)["status"] == 500
    attempt = Attempt.objects.get(key="(failure function)")
    assert attempt.error_info["message"] == f"{peer.url}/failed answered 500"
