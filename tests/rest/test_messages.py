"""`/v2/messages`: look at plain messages, cancel them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty, answer_of
from tests.rest.messages import NOON, URL, enqueue, publish
from workflows_app.engine import publication_moves
from workflows_app.models import Publication

Work = Callable[[], int]


def test_a_message_shows_what_was_said_about_it(api: Api, clock: Clock):
    message_id = publish(
        api,
        body='{"a":1}',
        upstash_method="PUT",
        upstash_delay="10s",
        upstash_retries="5",
        upstash_retry_delay="1000 * retried",
        upstash_timeout="30s",
        upstash_label="a,b",
        upstash_forward_x_order="7",
        upstash_callback="https://shop.example.org/called",
        upstash_callback_forward_x_token="t",
        upstash_failure_callback="https://shop.example.org/failed",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="rate=5, period=1h30m3s",
    )

    assert answer_of(api.get(f"/v2/messages/{message_id}")) == (
        200,
        {
            "messageId": message_id,
            "url": URL,
            "method": "PUT",
            "header": {"Content-Type": ["application/json"], "X-Order": ["7"]},
            "body": '{"a":1}',
            "maxRetries": 5,
            "notBefore": NOON + 10_000,
            "createdAt": NOON,
            "callerIP": "127.0.0.1",
            "label": "a",
            "labels": ["a", "b"],
            "flowControlKey": "shop",
            "rate": 5,
            "period": 5403,
            "callback": "https://shop.example.org/called",
            "callbackHeader": {"X-Token": ["t"]},
            "failureCallback": "https://shop.example.org/failed",
            "timeout": 30,
            "retryDelayExpression": "1000 * retried",
        },
    )


def test_a_plain_message_shows_no_more_than_it_has(api: Api, clock: Clock):
    message_id = publish(api, body=b"")

    assert api.get(f"/v2/messages/{message_id}").json() == {
        "messageId": message_id,
        "url": URL,
        "method": "POST",
        "header": {},
        "maxRetries": 3,
        "notBefore": NOON,
        "createdAt": NOON,
        "callerIP": "127.0.0.1",
    }


def test_bytes_that_are_no_text_are_shown_in_base64(api: Api):
    body = api.get(f"/v2/messages/{publish(api, body=bytes([255, 0]))}").json()

    assert (body["bodyBase64"], "body" in body) == ("/wA=", False)


def test_a_message_names_its_url_group_endpoint_and_queue(api: Api):
    api.post(
        "/v2/topics/all/endpoints", '{"endpoints":[{"url":"https://a.example.org/","name":"a"}]}'
    )
    (to_group,) = api.post("/v2/enqueue/line/all", "x").json()

    body = api.get(f"/v2/messages/{to_group['messageId']}").json()

    assert to_group["url"] == body["url"] == "https://a.example.org/"
    assert (body["topicName"], body["endpointName"], body["queueName"]) == ("all", "a", "line")


def test_a_delivered_message_can_still_be_looked_at(api: Api, third_party: ThirdParty, work: Work):
    third_party.answers_with(200)
    message_id = publish(api)
    work()

    assert api.get(f"/v2/messages/{message_id}").status_code == 200


@pytest.mark.parametrize("fields", ["body,header[Authorization]", "body,header"])
def test_what_is_to_be_hidden_is_shown_as_a_hash_and_delivered(
    api: Api, third_party: ThirdParty, work: Work, fields: str
):
    third_party.answers_with(200)
    message_id = publish(
        api, body="secret", upstash_forward_authorization="key", upstash_redact_fields=fields
    )
    work()

    body = api.get(f"/v2/messages/{message_id}").json()

    assert body["body"] == f"REDACTED:{sha256(b'secret').hexdigest()}"
    assert body["header"]["Authorization"] == [f"REDACTED:{sha256(b'key').hexdigest()}"]
    assert third_party.asked[0].body == b"secret"
    assert third_party.asked[0].headers["Authorization"] == "key"


def test_a_message_is_cancelled_once(api: Api):
    message_id = publish(api, upstash_delay="1h")

    assert answer_of(api.delete(f"/v2/messages/{message_id}")) == (200, {"cancelled": 1})
    assert api.delete(f"/v2/messages/{message_id}").status_code == 404
    assert api.delete("/v2/messages/msg_unknown").status_code == 404


def cancelled(api: Api, query: str = "", body: str = "") -> int:
    status, answer = answer_of(api.delete(f"/v2/messages{query}", body))
    assert status == 200, answer
    count: int = answer["cancelled"]
    return count


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("?count=3", 3),
        ("?url=https://a.example.org/x", 1),
        ("?url=https://a.example.org/x&url=https://b.example.org:8080/y", 2),
        ("?host=a.example.org", 1),
        ("?host=b.example.org", 1),
        ("?host=b.example.org:8080", 1),
        ("?host=example.org", 0),
        ("?path=/x", 1),
        ("?path=/x&path=/y", 2),
        ("?path=/", 1),
        ("?label=one", 1),
        ("?label=one&label=two", 2),
        ("?label=ONE", 0),
        ("?label=on", 0),
        ("?topicName=all", 1),
        ("?queueName=line", 1),
        ("?flowControlKey=shop", 1),
        ("?callerIp=127.0.0.1", 4),
        ("?callerIP=127.0.0.2", 0),
        ("?scheduleId=s", 0),
        (f"?fromDate={NOON}&toDate={NOON}", 4),
        (f"?fromDate={NOON + 1}", 0),
        (f"?toDate={NOON - 1}", 0),
        ("?label=one&host=b.example.org", 0),
        ("?messageIds=msg_unknown", 0),
    ],
)
def test_all_that_the_filters_match_are_cancelled(api: Api, clock: Clock, query: str, count: int):
    publish(api, "https://a.example.org/x", upstash_label="one", upstash_delay="1h")
    publish(api, "https://b.example.org:8080/y", upstash_label="two,three", upstash_delay="1h")
    api.post("/v2/topics/all/endpoints", '{"endpoints":[{"url":"https://c.example.org"}]}')
    api.post("/v2/publish/all", "", upstash_delay="1h")
    limits = {"upstash_flow_control_key": "shop", "upstash_flow_control_value": "rate=1"}
    enqueue(api, "line", upstash_delay="1h", **limits)

    assert cancelled(api, query) == count
    assert Publication.objects.waiting().count() == 4 - count


def test_ids_may_be_sent_in_the_query_or_in_the_body(api: Api):
    ids = [publish(api, upstash_delay="1h") for _ in range(5)]

    assert cancelled(api, f"?messageIds={ids[0]}&messageIds={ids[1]}") == 2
    assert cancelled(api, f"?messageIds={ids[1]},{ids[2]}") == 1
    assert cancelled(api, "", f'{{"messageIds":["{ids[3]}","{ids[3]}"]}}') == 1
    assert cancelled(api, "", "{}") == 1


@pytest.mark.parametrize("query", ["?labeel=a", "?label=", "?count=many", "?fromDate=today"])
def test_a_filter_that_cannot_be_meant_cancels_nothing(api: Api, query: str):
    publish(api, upstash_delay="1h")

    assert api.delete(f"/v2/messages{query}").status_code == 400
    assert Publication.objects.waiting().exists()


# -- who may


def test_messages_of_another_account_are_neither_seen_nor_cancelled(api: Api, stranger: Api):
    message_id = publish(api, upstash_delay="1h")

    assert stranger.get(f"/v2/messages/{message_id}").status_code == 404
    assert stranger.delete(f"/v2/messages/{message_id}").status_code == 404
    assert cancelled(stranger) == 0
    assert cancelled(stranger, f"?messageIds={message_id}") == 0


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("method", METHODS)
def test_services_publish_by_whatever_method_they_call(api: Api, method: str):
    target = f"/v2/publish/{URL}?a=1&upstash-retries=7&qstash_token={api.token}"

    answer = Api("")._send(method, target, b"hello", {})

    assert answer.status_code == 200
    publication = Publication.objects.get(public_id=answer.json()["messageId"])
    assert (publication.url, publication.method) == (f"{URL}?a=1", "POST")
    assert (bytes(publication.body), publication.retries) == (b"hello", 7)


@pytest.mark.parametrize("method", METHODS)
def test_a_read_only_token_publishes_by_no_method(read_only_api: Api, method: str):
    assert read_only_api._send(method, f"/v2/publish/{URL}", b"", {}).status_code == 403
    assert not Publication.objects.exists()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_who_only_asks_what_is_there_publishes_nothing(api: Api, method: str):
    assert api._send(method, f"/v2/publish/{URL}", b"", {}).status_code == 405
    assert not Publication.objects.exists()


def test_a_read_only_token_only_looks(api: Api, read_only_api: Api):
    message_id = publish(api, upstash_delay="1h")

    assert read_only_api.get(f"/v2/messages/{message_id}").status_code == 200
    assert read_only_api.delete(f"/v2/messages/{message_id}").status_code == 403
    assert read_only_api.delete("/v2/messages").status_code == 403
    assert read_only_api.post(f"/v2/publish/{URL}", "x").status_code == 403
    assert Publication.objects.waiting().count() == 1


def test_very_many_are_cancelled_at_once(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(publication_moves, "BATCH", 2)
    first, *_ = [enqueue(api, queue) for queue in ("a", "b", "a", "b", "a")]
    api.delete(f"/v2/messages/{first}")

    assert cancelled(api, "?queueName=a") == 2
    assert cancelled(api) == 2
    assert not Publication.objects.waiting().exists()
