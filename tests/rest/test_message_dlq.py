"""`/v2/dlq`: plain messages that were given up."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty, answer_of
from tests.rest.messages import NOON, URL, dead, enqueue, publish
from workflows_app.models import Publication

Work = Callable[[], int]
Give = Callable[..., str]


@pytest.fixture
def give_up(api: Api, third_party: ThirdParty, work: Work) -> Give:
    """Publish a message that is given up; its id."""

    def give_up(url: str = URL, status: int = 404, answer: bytes = b"", **headers: str) -> str:
        third_party.answers_with(status, answer)
        message_id = publish(api, url, upstash_retries="0", **headers)
        work()
        return message_id

    return give_up


def test_an_entry_shows_its_message_and_the_last_answer(api: Api, clock: Clock, give_up: Give):
    message_id = give_up(answer=b"404 Not Found", upstash_label="a,b")

    (entry,) = dead(api)

    assert entry == {
        **api.get(f"/v2/messages/{message_id}").json(),
        "dlqId": f"{NOON}-{Publication.objects.get().pk}",
        "responseStatus": 404,
        "responseHeader": {},
        "responseBody": "404 Not Found",
    }
    assert answer_of(api.get(f"/v2/dlq/{entry['dlqId']}")) == (200, entry)


def test_an_answer_that_is_no_text_is_shown_in_base64(api: Api, give_up: Give):
    give_up(answer=b"\xff\x00")

    (entry,) = dead(api)

    assert (entry["responseBodyBase64"], "responseBody" in entry) == ("/wA=", False)


def test_what_is_to_be_hidden_is_hidden_here_too(api: Api, give_up: Give):
    give_up(answer=b"secret", upstash_redact_fields="body")

    (entry,) = dead(api)

    assert entry["responseBody"] == f"REDACTED:{sha256(b'secret').hexdigest()}"
    assert entry["body"] == f"REDACTED:{sha256(b'hello').hexdigest()}"


def test_only_what_is_given_up_is_there(api: Api, third_party: ThirdParty, work: Work):
    third_party.answers_with(200)
    publish(api)
    third_party.answers_with(500)
    publish(api)
    work()

    assert dead(api) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "ba"),
        ("?url=https://a.example.org/", "a"),
        ("?responseStatus=404", "a"),
        ("?responseStatus=404&responseStatus=500", "ba"),
        ("?responseStatus=99999999999", ""),
        ("?label=one", "a"),
        ("?label=one&label=two", "ba"),
        ("?flowControlKey=shop", "b"),
        ("?callerIp=127.0.0.1", "ba"),
        ("?queueName=line", ""),
        ("?topicName=all", ""),
        ("?scheduleId=s", ""),
        (f"?fromDate={NOON + 1}", "b"),
        (f"?toDate={NOON}", "a"),
        ("?order=earliestFirst", "ab"),
        ("?dlqIds=1-1", ""),
        ("?dlqIds=nonsense", ""),
    ],
)
def test_filters_keep_entries_that_match(
    api: Api, clock: Clock, give_up: Give, query: str, found: str
):
    give_up("https://a.example.org/", upstash_label="one")
    clock.advance("1s")
    limits = {"upstash_flow_control_key": "shop", "upstash_flow_control_value": "rate=1"}
    give_up("https://b.example.org/", status=500, upstash_label="two", **limits)

    assert "".join(entry["url"][8] for entry in dead(api, query)) == found


def test_an_entry_is_found_by_the_id_of_its_message(api: Api, give_up: Give):
    first, second = give_up(), give_up()

    assert [entry["messageId"] for entry in dead(api, f"?messageId={first}")] == [first]
    both = dead(api, f"?messageIds={first},{second}")
    assert [entry["messageId"] for entry in both] == [second, first]


def test_a_deleted_entry_is_gone(api: Api, give_up: Give):
    message_id = give_up()
    (entry,) = dead(api)

    assert answer_of(api.delete(f"/v2/dlq/{entry['dlqId']}")) == (200, {"deleted": 1})
    assert dead(api) == []
    assert api.delete(f"/v2/dlq/{entry['dlqId']}").status_code == 404
    assert api.get(f"/v2/dlq/{entry['dlqId']}").status_code == 404
    assert api.get(f"/v2/messages/{message_id}").status_code == 200


def test_many_are_deleted_by_ids_or_filters(api: Api, give_up: Give):
    for label in "aabbcc":
        give_up(upstash_label=label)
    ids = [entry["dlqId"] for entry in dead(api, "?label=a")]

    assert api.delete(f"/v2/dlq?dlqIds={ids[0]}&dlqIds={ids[1]}").json() == {"deleted": 2}
    assert api.delete("/v2/dlq", f'{{"dlqIds":["{ids[0]}"]}}').json() == {"deleted": 0}
    assert api.delete("/v2/dlq?label=b").json() == {"deleted": 2}
    page = api.delete("/v2/dlq?count=1").json()
    assert page["deleted"] == 1
    assert api.delete(f"/v2/dlq?count=1&cursor={page['cursor']}").json() == {"deleted": 1}


# -- retrying


def test_a_retried_message_is_published_again_and_leaves_the_queue(
    api: Api, third_party: ThirdParty, work: Work, give_up: Give
):
    give_up(upstash_forward_a="b", upstash_method="PUT", upstash_label="x")
    (entry,) = dead(api)
    third_party.answers_with(200)

    status, body = answer_of(api.post(f"/v2/dlq/retry/{entry['dlqId']}"))
    work()

    assert status == 201
    again = api.get(f"/v2/messages/{body['messageId']}").json()
    same = ("url", "method", "header", "body", "maxRetries", "labels")
    assert {name: again[name] for name in same} == {name: entry[name] for name in same}
    assert third_party.asked[-1].headers["Upstash-Retried"] == "0"
    assert dead(api) == []
    assert api.post(f"/v2/dlq/retry/{entry['dlqId']}").status_code == 404


def test_a_message_of_a_queue_is_retried_through_it(api: Api, third_party: ThirdParty, work: Work):
    third_party.answers_with(500)
    enqueue(api, "line", upstash_retries="0")
    work()

    (retried,) = api.post("/v2/dlq/retry").json()["responses"]

    assert api.get(f"/v2/messages/{retried['messageId']}").json()["queueName"] == "line"
    assert api.get("/v2/queues/line").json()["lag"] == 1


def test_many_are_retried_by_ids_or_filters(api: Api, give_up: Give):
    for label in "aabbcc":
        give_up(upstash_label=label)
    ids = [entry["dlqId"] for entry in dead(api, "?label=a")]

    def retried(query: str, body: str = "") -> int:
        status, answer = answer_of(api.post(f"/v2/dlq/retry{query}", body))
        assert status == 201
        return len(answer["responses"])

    assert retried(f"?dlqIds={ids[0]}&dlqIds={ids[1]}") == 2
    assert retried(f"?dlqIds={ids[0]}") == 0
    assert retried("?label=b") == 2
    assert retried("", '{"count":1}') == 1
    assert retried("") == 1
    assert dead(api) == []


def test_a_callback_that_fails_is_given_up_as_any_message(
    api: Api, third_party: ThirdParty, work: Work
):
    third_party.answers_with(200)
    third_party.answers_with(404)
    publish(api, upstash_callback="https://b.example.org/", upstash_callback_retries="0")
    work()

    assert [entry["url"] for entry in dead(api)] == ["https://b.example.org/"]


# -- refusals


@pytest.mark.parametrize("query", ["?labeel=a", "?host=a.example.org", "?api=llm", "?label="])
def test_an_unknown_filter_of_a_verb_over_many_is_an_error(api: Api, give_up: Give, query: str):
    give_up()

    assert api.delete(f"/v2/dlq{query}").status_code == 400
    assert api.post(f"/v2/dlq/retry{query}").status_code == 400
    assert len(dead(api)) == 1


@pytest.mark.parametrize("dlq_id", ["nonsense", "1-1", f"{10**30}-1", f"{NOON}-{1 << 62}"])
def test_an_unknown_entry_is_not_found(api: Api, dlq_id: str):
    for method in ("GET", "DELETE"):
        assert api._send(method, f"/v2/dlq/{dlq_id}", "", {}).status_code == 404
    assert api.post(f"/v2/dlq/retry/{dlq_id}").status_code == 404


def test_entries_of_another_account_are_out_of_reach(api: Api, stranger: Api, give_up: Give):
    give_up()
    (entry,) = dead(api)
    dlq_id = entry["dlqId"]

    assert dead(stranger) == dead(stranger, f"?dlqIds={dlq_id}") == []
    assert stranger.get(f"/v2/dlq/{dlq_id}").status_code == 404
    assert stranger.delete(f"/v2/dlq/{dlq_id}").status_code == 404
    assert stranger.post(f"/v2/dlq/retry/{dlq_id}").status_code == 404
    assert stranger.delete("/v2/dlq").json() == {"deleted": 0}
    assert stranger.post(f"/v2/dlq/retry?dlqIds={dlq_id}").json() == {"responses": []}
    assert len(dead(api)) == 1


def test_a_read_only_token_changes_nothing(api: Api, read_only_api: Api, give_up: Give):
    give_up()
    (entry,) = dead(read_only_api)
    refused: list[Any] = [
        read_only_api.delete(f"/v2/dlq/{entry['dlqId']}"),
        read_only_api.delete("/v2/dlq"),
        read_only_api.post("/v2/dlq/retry"),
        read_only_api.post(f"/v2/dlq/retry/{entry['dlqId']}"),
    ]

    assert [response.status_code for response in refused] == [403] * 4
    assert len(dead(api)) == 1
