"""Delivering plain messages: what is sent, what becomes of it, and who is told."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.engine.publishing import URL, send, states, stored
from tests.engine.world import World, answer
from workflows_app.engine import delivery, leases
from workflows_app.engine.drain import drain_here
from workflows_app.engine.publication_moves import cancel
from workflows_app.engine.url_groups import Endpoint, add_endpoints
from workflows_app.models import Account, Message, Publication, PublicationEvent
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.exchange import SendFailed
from workflows_app.protocol.signing import verify

CALLED = "https://shop.example.org/called"
GIVEN_UP = "https://shop.example.org/given-up"


def logged(message_id: str, state: str) -> PublicationEvent:
    return stored(message_id).events.get(state=state)


def told(world: World) -> dict[str, Any]:
    """The body of the request that was sent last."""
    body = world.sent[-1].body
    assert body is not None
    told: dict[str, Any] = decode_json(body)
    return told


# -- what is sent


def test_a_message_is_sent_with_its_own_headers_and_those_of_the_server(account, world: World):
    world.answers(200)
    message_id = send(
        account,
        method="put",
        forward_x_order="7",
        forward_upstash_retried="99",
        forward_content_type="text/plain",
        timeout="30s",
    )

    drain_here()

    (request,) = world.sent
    assert (request.method, request.url, request.body) == ("PUT", URL, b"hello")
    assert request.timeout == timedelta(seconds=30)
    signature = request.headers["Upstash-Signature"]
    assert request.headers == {
        "X-Order": "7",
        "Content-Type": "text/plain",
        "Upstash-Message-Id": message_id,
        "Upstash-Retried": "0",
        "Upstash-Caller-Ip": "203.0.113.7",
        "Upstash-Signature": signature,
    }


def test_a_message_is_signed_with_the_keys_of_its_account(other_account, world, clock: Clock):
    world.answers(200)
    send(other_account)

    drain_here()

    (request,) = world.sent
    verify(
        request.headers["Upstash-Signature"],
        b"hello",
        url=URL,
        keys=other_account.signing_keys,
        now=clock.now,
    )


def test_a_message_names_the_url_group_and_the_queue_that_it_came_through(account, world):
    world.answers(200)
    add_endpoints(account, "all", [Endpoint(url=URL, name="first")])
    send(account, "all", queue="line")

    drain_here()

    (request,) = world.sent
    assert request.headers["Upstash-Topic-Name"] == "all"
    assert request.headers["Upstash-Queue-Name"] == "line"


def test_a_message_is_sent_when_its_delay_is_over(account, world, clock: Clock):
    world.answers(200)
    send(account, delay="10s")

    assert drain_here() == 0
    clock.advance("10s")
    assert drain_here() == 1


def test_a_get_without_a_body_is_sent_without_one(account, world):
    world.answers(200)
    send(account, body=b"", method="GET")

    drain_here()

    assert world.sent[0].body is None


# -- what becomes of it


def test_a_delivered_message_stays_to_be_looked_at(account, world, clock: Clock):
    world.answers(answer(201, b"made", X_Made="7"))
    message_id = send(account)

    drain_here()

    assert stored(message_id).status == Publication.Status.DELIVERED
    assert stored(message_id).ended_at == clock.now
    assert not Message.objects.exists()
    assert states(message_id) == ["created", "active", "delivered"]
    event = logged(message_id, "delivered")
    assert event.response_status == 201
    assert decode_json(event.response_headers) == {"X-Made": ["7"]}
    assert bytes(event.response_body or b"") == b"made"


def test_a_message_that_failed_is_sent_again_later(account, world, clock: Clock):
    world.answers(500, 200)
    message_id = send(account)

    drain_here()
    assert states(message_id) == ["created", "active", "error", "retry"]
    assert logged(message_id, "error").error == "500 Internal Server Error"
    assert logged(message_id, "retry").next_attempt_at == clock.now + timedelta(seconds=12)

    clock.advance("12s")
    drain_here()
    assert [request.headers["Upstash-Retried"] for request in world.sent] == ["0", "1"]
    first, second = world.sent
    assert first.headers["Upstash-Message-Id"] == second.headers["Upstash-Message-Id"]
    assert states(message_id)[4:] == ["active", "delivered"]


def test_a_retry_delay_and_what_an_answer_asks_for_decide_when(account, world, clock: Clock):
    world.answers(500, answer(503, Retry_After="60"), 200)
    message_id = send(account, retry_delay="(1 + retried) * 1000")

    drain_here()
    clock.advance("1s")
    drain_here()
    retries = stored(message_id).events.filter(state="retry").order_by("id")
    assert [event.next_attempt_at for event in retries] == [
        clock.now,
        clock.now + timedelta(seconds=60),
    ]


def test_a_message_whose_retries_are_used_up_is_given_up(account, world, clock: Clock):
    world.answers(500, 404)
    message_id = send(account, retries="1", retry_delay="0")

    drain_here()

    assert stored(message_id).status == Publication.Status.FAILED
    assert not Message.objects.exists()
    assert states(message_id)[-3:] == ["active", "error", "failed"]
    assert logged(message_id, "failed").response_status == 404


@pytest.mark.parametrize("final", [answer(489), answer(500, Upstash_Nonretryable_Error="true")])
def test_an_answer_can_say_that_there_is_no_use_in_retrying(account, world, final):
    world.answers(final)
    message_id = send(account)

    drain_here()

    assert stored(message_id).status == Publication.Status.FAILED


def test_no_answer_is_a_failure_that_says_why(account, world):
    world.answers(SendFailed("timeout", "it took too long"))
    message_id = send(account, retries="0")

    drain_here()

    event = logged(message_id, "failed")
    assert (event.error, event.response_status) == ("it took too long", 504)


def test_a_message_cancelled_before_its_delivery_begins_is_not_sent(account, world):
    message_id = send(account)
    (lease,) = leases.claim(1)
    cancel(stored(message_id))

    delivery.deliver(lease)

    assert world.sent == []
    assert states(message_id) == ["created", "cancel requested", "canceled"]


def test_a_message_cancelled_while_it_is_sent_stays_cancelled(account, world):
    message_id = send(account, callback=CALLED)
    (lease,) = leases.claim(1)
    pending = delivery.begin(lease)
    cancel(stored(message_id))

    assert pending is not None
    delivery.settle(lease, pending, answer(200))

    assert stored(message_id).status == Publication.Status.CANCELED
    assert states(message_id)[-1] == "canceled"
    assert Publication.objects.count() == 1


def test_limits_of_a_flow_control_key_hold_for_messages(account, world):
    for _ in range(2):
        send(account, flow_control_key="shop", flow_control_value="parallelism=1")

    assert len(leases.claim(10)) == 1
    assert leases.claim(10) == []


# -- callbacks


def test_a_callback_tells_of_each_attempt(account, world, clock: Clock):
    world.answers(answer(500, b"oh", X_Why="no"), 200, answer(200, b"fine"), 200)
    message_id = send(account, retries="1", retry_delay="1000", callback=CALLED, forward_a="b")

    drain_here()
    clock.advance("1s")
    drain_here()

    first, second = (decode_json(request.body or b"") for request in world.sent[1::2])
    now = 1_893_585_600_000
    assert first == {
        "status": 500,
        "header": {"X-Why": ["no"]},
        "body": base64.b64encode(b"oh").decode(),
        "retried": 0,
        "maxRetries": 1,
        "sourceMessageId": message_id,
        "url": URL,
        "method": "POST",
        "sourceHeader": {"A": ["b"]},
        "sourceBody": base64.b64encode(b"hello").decode(),
        "notBefore": now,
        "createdAt": now,
        "callerIP": "203.0.113.7",
    }
    assert (second["status"], second["retried"]) == (200, 1)


def test_a_callback_is_a_message_with_options_of_its_own(account, world):
    world.answers(200, 500)
    send(
        account,
        forward_secret="for the shop alone",
        callback=CALLED,
        callback_method="PUT",
        callback_retries="0",
        callback_forward_x_token="t",
        callback_failure_callback=GIVEN_UP,
        callback_label="told",
    )

    drain_here(limit=2)

    called = Publication.objects.get(url=CALLED)
    assert called.status == Publication.Status.FAILED
    assert called.label_list == ["told"]
    request = world.sent[1]
    assert (request.method, request.url) == ("PUT", CALLED)
    assert request.headers["X-Token"] == "t"
    assert request.headers["Content-Type"] == "application/json"
    assert "Secret" not in request.headers
    assert Publication.objects.filter(url=GIVEN_UP).count() == 1


def test_a_failure_callback_tells_only_of_what_is_given_up(account, world):
    world.answers(500, 500, 200)
    message_id = send(account, retries="1", retry_delay="0", failure_callback=GIVEN_UP)

    drain_here()

    assert [request.url for request in world.sent] == [URL, URL, GIVEN_UP]
    assert told(world)["retried"] == 1
    assert told(world)["dlqId"] == stored(message_id).dead_letter_id


def test_a_message_that_is_delivered_in_the_end_has_no_failure_callback(account, world):
    world.answers(500, 200)
    send(account, retry_delay="0", failure_callback=GIVEN_UP)

    drain_here()

    assert [request.url for request in world.sent] == [URL, URL]


def test_a_callback_tells_of_the_url_group(account: Account, world):
    world.answers(200, 200)
    add_endpoints(account, "all", [Endpoint(url=URL, name="first")])
    send(account, "all", callback=CALLED)

    drain_here()

    assert (told(world)["topicName"], told(world)["endpointName"]) == ("all", "first")


def test_the_callback_of_what_is_shown_only_as_a_hash_is_shown_so_too(account, world):
    world.answers(200, 200)
    send(account, callback=CALLED, redact_fields="header[Authorization]")

    drain_here()

    assert Publication.objects.get(url=CALLED).redaction == "body,header[Authorization]"
    assert base64.b64decode(told(world)["sourceBody"]) == b"hello"
