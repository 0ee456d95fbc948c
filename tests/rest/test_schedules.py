"""`/v2/schedules`."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tests.conftest import Clock
from tests.rest.conftest import Api, ThirdParty, answer_of
from tests.rest.messages import NOON, URL, dead
from workflows_app.models import Message, Schedule

Work = Callable[[], int]
HOUR = 3_600_000


def create(api: Api, destination: str = URL, body: str = "", **headers: str) -> str:
    """The id of the schedule."""
    said = {"upstash_cron": "0 * * * *", **headers}
    status, answer = answer_of(api.post(f"/v2/schedules/{destination}", body, **said))
    assert status == 200, answer
    schedule_id: str = answer["scheduleId"]
    return schedule_id


def shown(api: Api, schedule_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v2/schedules/{schedule_id}").json()
    return found


def test_a_schedule_shows_what_was_said_about_it(api: Api, clock: Clock):
    schedule_id = create(
        api,
        "https://shop.example.org//report?a=1",
        '{"hello":"world"}',
        upstash_cron=" CRON_TZ=Europe/Berlin  0 14 * * * ",
        upstash_forward_test_header="test-value",
        upstash_method="GET",
        upstash_callback="https://example.com",
        upstash_callback_forward_c="d",
        upstash_failure_callback="https://example.com/failure",
        upstash_delay="10s",
        upstash_timeout="1m",
        upstash_retries="5",
        upstash_retry_delay="pow(retried, 2) * 1000",
        upstash_queue_name="line",
        upstash_label="a,b",
        upstash_flow_control_key="shop",
        upstash_flow_control_value="parallelism=10, rate=5, period=1d",
    )

    assert schedule_id.startswith("scd_")
    assert answer_of(api.get(f"/v2/schedules/{schedule_id}")) == (
        200,
        {
            "scheduleId": schedule_id,
            "createdAt": NOON,
            "cron": "CRON_TZ=Europe/Berlin 0 14 * * *",
            "destination": "https://shop.example.org//report?a=1",
            "method": "GET",
            "header": {"Content-Type": ["application/json"], "Test-Header": ["test-value"]},
            "body": '{"hello":"world"}',
            "retries": 5,
            "delay": 10,
            "timeout": 60,
            "callback": "https://example.com",
            "callbackHeader": {"C": ["d"]},
            "failureCallback": "https://example.com/failure",
            "queueName": "line",
            "label": "a",
            "labels": ["a", "b"],
            "flowControlKey": "shop",
            "parallelism": 10,
            "rate": 5,
            "period": 86400,
            "retryDelayExpression": "pow(retried, 2) * 1000",
            "callerIP": "127.0.0.1",
            "isPaused": False,
            "nextScheduleTime": NOON + HOUR,
        },
    )


def test_a_schedule_shows_how_its_last_messages_fared(
    api: Api, third_party: ThirdParty, work: Work, clock: Clock
):
    schedule_id = create(api, upstash_retries="0")
    for status in (200, 500):
        clock.advance("1h")
        third_party.answers_with(status)
        work()

    schedule = shown(api, schedule_id)

    (entry,) = dead(api, f"?scheduleId={schedule_id}")
    assert schedule["lastScheduleTime"] == NOON + 2 * HOUR
    assert schedule["nextScheduleTime"] == NOON + 3 * HOUR
    assert schedule["lastScheduleStates"] == {entry["messageId"]: "FAIL"}
    assert third_party.asked[0].headers["Upstash-Schedule-Id"] == schedule_id


def test_the_same_id_is_given_all_that_is_said_anew(api: Api):
    first = create(api, body="old", upstash_schedule_id="s", upstash_label="old")
    again = create(api, "https://b.example.org/", upstash_schedule_id="s")

    schedule = shown(api, "s")

    assert first == again == "s"
    assert schedule["destination"] == "https://b.example.org/"
    assert not {"body", "label", "labels"} & set(schedule)
    assert len(api.get("/v2/schedules").json()) == 1


def test_schedules_are_listed_newest_first(api: Api):
    first, second = create(api), create(api)

    listed = api.get("/v2/schedules").json()

    assert [schedule["scheduleId"] for schedule in listed] == [second, first]
    assert listed[1] == shown(api, first)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_schedule_is_paused_and_resumed(api: Api, clock: Clock, method: str):
    schedule_id = create(api)

    assert api._send(method, f"/v2/schedules/{schedule_id}/pause", "", {}).status_code == 200
    paused = shown(api, schedule_id)
    assert (paused["isPaused"], "nextScheduleTime" in paused) == (True, False)
    assert api._send(method, f"/v2/schedules/{schedule_id}/resume", "", {}).status_code == 200
    assert shown(api, schedule_id)["isPaused"] is False
    assert Message.objects.count() == 1


def test_a_deleted_schedule_is_gone(api: Api):
    schedule_id = create(api)

    assert api.delete(f"/v2/schedules/{schedule_id}").status_code == 200
    assert api.get(f"/v2/schedules/{schedule_id}").status_code == 404
    assert api.delete(f"/v2/schedules/{schedule_id}").status_code == 404
    assert not Message.objects.exists()


def test_a_destination_may_end_as_a_verb_does(api: Api):
    schedule_id = create(api, "https://shop.example.org/pause")

    assert shown(api, schedule_id)["destination"] == "https://shop.example.org/pause"


def test_a_destination_may_be_encoded_or_a_url_group(api: Api):
    api.post("/v2/topics/all/endpoints", '{"endpoints":[{"url":"https://a.example.org/"}]}')

    encoded = create(api, "https%3A%2F%2Fshop.example.org%2Forders")
    to_group = create(api, "all")

    assert shown(api, encoded)["destination"] == URL
    assert shown(api, to_group)["destination"] == "all"


def test_the_route_may_be_written_as_the_go_client_does(api: Api):
    response = api.post(f"/v2/Schedules/{URL}", "", upstash_cron="0 * * * *")

    assert shown(api, response.json()["scheduleId"])["destination"] == URL


def test_what_is_to_be_hidden_is_shown_as_a_hash(api: Api, third_party, work: Work, clock: Clock):
    schedule_id = create(
        api, body="secret", upstash_forward_x="key", upstash_redact_fields="body,header[X]"
    )

    schedule = shown(api, schedule_id)

    assert schedule["body"] == f"REDACTED:{sha256(b'secret').hexdigest()}"
    assert schedule["header"]["X"] == [f"REDACTED:{sha256(b'key').hexdigest()}"]
    third_party.answers_with(200)
    clock.advance("1h")
    work()
    assert third_party.asked[0].body == b"secret"


def test_what_went_wrong_at_the_last_slot_is_said(api: Api, work: Work, clock: Clock):
    api.post("/v2/topics/all/endpoints", '{"endpoints":[{"url":"https://a.example.org/"}]}')
    schedule_id = create(api, "all")
    api.delete("/v2/topics/all")
    clock.advance("1h")
    work()

    schedule = shown(api, schedule_id)

    assert schedule["error"] == 'there is no URL group "all" in this account'
    assert schedule["lastScheduleStates"] == {}


@pytest.mark.parametrize(
    ("destination", "headers", "status"),
    [
        (URL, {}, 400),
        (URL, {"upstash_cron": "daily"}, 400),
        (URL, {"upstash_cron": "0 0 30 2 *"}, 400),
        (URL, {"upstash_cron": "CRON_TZ=Mars/Base 0 * * * *"}, 400),
        (URL, {"upstash_cron": "0 * * * *", "upstash_schedule_id": "a/b"}, 400),
        (URL, {"upstash_cron": "0 * * * *", "upstash_queue_name": "a b"}, 400),
        (URL, {"upstash_cron": "0 * * * *", "upstash_retries": "1000000"}, 412),
        ("ftp://shop.example.org/", {"upstash_cron": "0 * * * *"}, 400),
        ("nowhere", {"upstash_cron": "0 * * * *"}, 404),
    ],
)
def test_what_could_never_be_published_is_refused(
    api: Api, destination: str, headers: dict[str, str], status: int
):
    response = api.post(f"/v2/schedules/{destination}", "", **headers)

    assert response.status_code == status
    assert "error" in response.json()
    assert not Schedule.objects.exists()


def test_schedules_of_another_account_are_out_of_reach(api: Api, stranger: Api):
    schedule_id = create(api, upstash_schedule_id="s")

    assert stranger.get("/v2/schedules").json() == []
    assert stranger.get(f"/v2/schedules/{schedule_id}").status_code == 404
    assert stranger.delete(f"/v2/schedules/{schedule_id}").status_code == 404
    assert stranger.post(f"/v2/schedules/{schedule_id}/pause").status_code == 404
    create(stranger, "https://b.example.org/", upstash_schedule_id="s")
    assert shown(api, "s")["destination"] == URL


def test_a_read_only_token_changes_nothing(api: Api, read_only_api: Api):
    schedule_id = create(api)
    refused: list[Any] = [
        read_only_api.post(f"/v2/schedules/{URL}", "", upstash_cron="0 * * * *"),
        read_only_api.post(f"/v2/schedules/{schedule_id}/pause"),
        read_only_api._send("PATCH", f"/v2/schedules/{schedule_id}/resume", "", {}),
        read_only_api.delete(f"/v2/schedules/{schedule_id}"),
    ]

    assert [response.status_code for response in refused] == [403] * 4
    assert len(read_only_api.get("/v2/schedules").json()) == 1
