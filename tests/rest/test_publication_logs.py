"""`/v2/events` and `/v2/logs`: what happened to plain messages."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty, answer_of
from tests.rest.messages import NOON, URL, enqueue, events, publish

Work = Callable[[], int]


def test_a_delivery_is_logged_newest_first(
    api: Api, third_party: ThirdParty, work: Work, clock: Clock
):
    third_party.answers_with(201, b"made", **{"X-Made": ["7"]})
    message_id = publish(api, body="hello", upstash_forward_a="b", upstash_retry_delay="1000")
    work()

    delivered, active, created = events(api)

    always = {
        "time": NOON,
        "messageId": message_id,
        "url": URL,
        "method": "POST",
        "header": {"Content-Type": ["application/json"], "A": ["b"]},
        "body": "aGVsbG8=",
        "maxRetries": 3,
        "callerIp": "127.0.0.1",
        "retryDelayExpression": "1000",
        "retryDelayExpr": "1000",
    }
    assert created == {**always, "state": "CREATED", "nextDeliveryTime": NOON}
    assert active == {**always, "state": "ACTIVE"}
    assert delivered == {
        **always,
        "state": "DELIVERED",
        "responseStatus": 201,
        "responseBody": "made",
        "responseHeader": {"X-Made": ["7"]},
        "responseHeaders": {"X-Made": ["7"]},
    }


def test_failures_and_retries_are_logged(api: Api, third_party, work: Work, clock: Clock):
    third_party.answers_with(500, b"oh")
    publish(api)
    work()

    retry, error, *_ = events(api)

    assert (retry["state"], retry["nextDeliveryTime"]) == ("RETRY", NOON + 12_000)
    assert (error["state"], error["error"]) == ("ERROR", "500 Internal Server Error")
    assert (error["responseStatus"], error["responseBody"]) == (500, "oh")


def test_a_cancellation_is_logged(api: Api):
    api.delete(f"/v2/messages/{publish(api)}")

    assert [event["state"] for event in events(api)] == ["CANCELED", "CANCEL_REQUESTED", "CREATED"]


def test_the_logs_are_the_same_by_another_name(api: Api):
    publish(api)

    assert api.get("/v2/logs").json() == {"logs": events(api)}


def test_an_event_names_callbacks_group_queue_and_limits(api: Api):
    api.post(
        "/v2/topics/all/endpoints", '{"endpoints":[{"url":"https://a.example.org/","name":"a"}]}'
    )
    api.post(
        "/v2/enqueue/line/all",
        "x",
        upstash_callback="https://b.example.org/",
        upstash_callback_forward_c="d",
        upstash_failure_callback="https://c.example.org/",
        upstash_failure_callback_forward_e="f",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="parallelism=2",
        upstash_timeout="1m",
    )

    (event,) = events(api)

    assert (event["topicName"], event["endpointName"]) == ("all", "a")
    assert event["queueName"] == "line"
    assert (event["callback"], event["callbackHeaders"]) == ("https://b.example.org/", {"C": ["d"]})
    assert event["failureCallback"] == "https://c.example.org/"
    assert event["failureCallbackHeaders"] == {"E": ["f"]}
    assert (event["flowControlKey"], event["parallelism"], event["period"]) == ("shop", 2, 1)
    assert event["timeout"] == 60


def test_bodies_and_headers_to_be_hidden_are_logged_as_hashes(api: Api, third_party, work: Work):
    third_party.answers_with(200, b"secret answer")
    publish(
        api,
        body="secret",
        upstash_forward_authorization="secret key",
        upstash_callback="https://b.example.org/",
        upstash_callback_forward_authorization="secret key",
        upstash_redact_fields="body,header[Authorization]",
    )
    third_party.answers_with(200)
    work()

    text = api.get("/v2/events").content.decode()

    assert "secret" not in text
    assert "c2VjcmV0" not in text
    for value in (b"secret", b"secret key", b"secret answer"):
        assert f"REDACTED:{sha256(value).hexdigest()}" in text


def test_bodies_can_be_cut(api: Api, third_party, work: Work):
    third_party.answers_with(200, b"answer")
    publish(api, body="hello")
    work()

    delivered = events(api, "?trimBody=3")[0]

    assert (delivered["body"], delivered["responseBody"]) == ("aGVs", "ans")


# -- filters


@pytest.mark.parametrize(
    ("query", "bodies"),
    [
        ("?url=https://a.example.org/x", "a"),
        ("?url=https://a.example.org/x&url=https://b.example.org/y", "ba"),
        ("?host=a.example.org", "a"),
        ("?path=/y", "b"),
        ("?label=one&label=three", "ba"),
        ("?queueName=line", "c"),
        ("?flowControlKey=shop", "c"),
        ("?topicName=none", ""),
        ("?scheduleId=none", ""),
        ("?callerIp=127.0.0.1", "cba"),
        ("?state=CREATED", "cba"),
        ("?state=DELIVERED", ""),
        ("?state=IN_PROGRESS", "cba"),
        ("?state=DELIVERED&state=IN_PROGRESS", "cba"),
        (f"?fromDate={NOON + 1000}", "cb"),
        (f"?toDate={NOON + 1000}", "ba"),
        ("?order=earliestFirst", "abc"),
        ("?order=latestFirst", "cba"),
    ],
)
def test_filters_keep_events_of_messages_that_match(
    api: Api, clock: Clock, query: str, bodies: str
):
    publish(api, "https://a.example.org/x", "a", upstash_label="one,two")
    clock.advance("1s")
    publish(api, "https://b.example.org/y", "b", upstash_label="three")
    clock.advance("1s")
    limits = {"upstash_flow_control_key": "shop", "upstash_flow_control_value": "rate=1"}
    enqueue(api, "line", "c", **limits)

    encoded = {"YQ==": "a", "Yg==": "b", "Yw==": "c"}
    assert "".join(encoded[event["body"]] for event in events(api, query)) == bodies


def test_a_message_is_found_by_its_id(api: Api):
    first, second, _ = (publish(api) for _ in range(3))

    assert [event["messageId"] for event in events(api, f"?messageId={first}")] == [first]
    both = events(api, f"?messageIds={first}&messageIds={second}")
    assert [event["messageId"] for event in both] == [second, first]


def test_what_is_done_is_not_in_progress(api: Api, third_party, work: Work):
    third_party.answers_with(200)
    publish(api)
    work()

    assert events(api, "?state=IN_PROGRESS") == []


@pytest.mark.parametrize("order", ["latestFirst", "earliestFirst"])
def test_cursors_lead_through_all_events(api: Api, order: str):
    ids = [publish(api) for _ in range(5)]
    found: list[str] = []

    page = api.get(f"/v2/events?count=2&order={order}").json()
    while True:
        found += [event["messageId"] for event in page["events"]]
        if "cursor" not in page:
            break
        page = api.get(f"/v2/events?count=2&order={order}&cursor={page['cursor']}").json()

    assert found == (ids if order == "earliestFirst" else ids[::-1])


def test_events_can_be_kept_together_by_message(api: Api, third_party, work: Work):
    first, second = publish(api), publish(api)
    third_party.answers_with(200)
    third_party.answers_with(200)
    work()

    page = api.get("/v2/events?groupBy=messageId&count=1").json()
    rest = api.get(f"/v2/events?groupBy=messageId&count=1&cursor={page['cursor']}").json()

    assert [(event["messageId"], event["state"]) for event in page["events"]] == [
        (second, "DELIVERED"),
        (second, "ACTIVE"),
        (second, "CREATED"),
    ]
    assert {event["messageId"] for event in rest["events"]} == {first}
    assert "cursor" not in rest


@pytest.mark.parametrize(
    "query",
    [
        "?state=BROKEN",
        "?count=0",
        "?count=many",
        "?cursor=nonsense",
        "?cursor=YWZ0ZXI6NDI",
        "?order=random",
        "?groupBy=url",
        "?fromDate=today",
        "?trimBody=-1",
    ],
)
def test_a_malformed_filter_is_refused(api: Api, query: str):
    status, body = answer_of(api.get(f"/v2/events{query}"))

    assert (status, list(body)) == (400, ["error"])


def test_events_of_another_account_are_not_seen(api: Api, stranger: Api, read_only_api: Api):
    message_id = publish(api)

    assert events(stranger) == events(stranger, f"?messageId={message_id}") == []
    assert len(events(read_only_api)) == 1
