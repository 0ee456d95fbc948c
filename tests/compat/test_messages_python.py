"""Plain messages by qstash, the Python package, in its synchronous and asynchronous clients."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.compat.features import QSTASH_PY, feature
from tests.compat.programs import SdkError
from tests.compat.test_messages import Sink
from tests.compat.world import World, eventually, unique

shells = pytest.mark.parametrize("shell", ["sync", "async"])


def states(world: World, message_id: str) -> list[str]:
    logs = world.py("log.list", filter={"message_id": message_id})["logs"]
    return [event["state"] for event in logs]


def dead_letter(world: World, message_id: str) -> dict[str, Any]:
    (dead,) = eventually(
        lambda: world.py("dlq.list", filter={"message_id": message_id})["messages"], bool
    )
    found: dict[str, Any] = dead
    return found


@feature(QSTASH_PY, "message.publish_json: body, headers; log.list")
@shells
def test_a_message_arrives_as_it_was_published(world: World, shell: str) -> None:
    sink = Sink(world)

    answer = world.py(
        "message.publish_json",
        shell=shell,
        url=sink.url,
        body={"ü": "😀"},
        headers={"X-Own": "yes"},
        method="PUT",
    )

    (message,) = sink.received()
    assert (message.method, message.json) == ("PUT", {"ü": "😀"})
    assert message.headers["x-own"] == "yes"
    assert message.headers["upstash-message-id"] == answer["message_id"]
    message_id = answer["message_id"]
    eventually(lambda: states(world, message_id), lambda found: len(found) == 3)
    assert states(world, message_id) == ["DELIVERED", "ACTIVE", "CREATED"]


@feature(QSTASH_PY, "message.publish: callback, failure_callback and their headers")
@shells
def test_callbacks_tell_what_became_of_a_message(world: World, shell: str) -> None:
    callback, failure = Sink(world), Sink(world)
    world.py(
        "message.publish",
        shell=shell,
        url=f"{world.third.url}/status/201",
        callback=callback.url,
        callback_headers={"Forward-X-Own": "yes"},
    )
    world.py(
        "message.publish",
        shell=shell,
        url=f"{world.third.url}/status/404",
        retries=0,
        failure_callback=failure.url,
        failure_callback_headers={"Forward-X-Own": "yes"},
    )

    (told,), (failed,) = callback.received(), failure.received()
    assert (told.json["status"], told.headers["x-own"]) == (201, "yes")
    assert (failed.json["status"], failed.headers["x-own"]) == (404, "yes")


@feature(QSTASH_PY, "message.publish: retries, retry_delay; retry_delay_expression in logs")
def test_a_message_is_retried(world: World) -> None:
    sink = Sink(world, "/flaky/{}/1")
    answer = world.py("message.publish", url=sink.url, retries=2, retry_delay="100 * 2")

    assert len(sink.received(2)) == 2
    message_id = answer["message_id"]
    eventually(lambda: states(world, message_id), lambda found: found[:1] == ["DELIVERED"])
    logs = world.py("log.list", filter={"message_id": message_id})["logs"]
    assert {"ERROR", "RETRY"} <= {event["state"] for event in logs}
    (error,) = [event for event in logs if event["state"] == "ERROR"]
    assert error["response_status"] == 500
    assert error["response_body"] == "500 Internal Server Error"
    assert error["retry_delay_expression"] == "100 * 2"


@feature(QSTASH_PY, "message.publish: deduplication, delay, not_before")
def test_a_message_is_delivered_once_and_when_it_is_told_to(world: World) -> None:
    sink, key, began = Sink(world), unique("key"), time.time()
    first = world.py("message.publish", url=sink.url, deduplication_id=key, delay="1s")
    again = world.py("message.publish", url=sink.url, deduplication_id=key)
    later = Sink(world)
    world.py("message.publish", url=later.url, not_before=int(began) + 2)

    assert again["message_id"] == first["message_id"]
    assert again["deduplicated"] is True
    assert sink.received()[0].at - began >= 1
    assert later.received()[0].at >= int(began) + 2


@feature(QSTASH_PY, "message.batch_json: URLs, queues, URL groups")
@shells
def test_a_batch_is_published_in_its_order(world: World, shell: str) -> None:
    one, two, group, grouped = Sink(world), Sink(world), unique("group"), Sink(world)
    world.py("url_group.upsert_endpoints", group, [{"url": grouped.url, "name": "one"}])
    answers = world.py(
        "message.batch_json",
        [
            {"url": one.url, "body": {"n": 1}},
            {"url": two.url, "body": {"n": 2}, "queue": unique("queue")},
            {"url_group": group, "body": {"n": 3}},
        ],
        shell=shell,
    )

    assert [each.received()[0].json for each in (one, two, grouped)] == [
        {"n": 1},
        {"n": 2},
        {"n": 3},
    ]
    assert [each["url"] for each in answers[2]] == [grouped.url]
    assert answers[0]["message_id"] == one.received()[0].headers["upstash-message-id"]


@feature(QSTASH_PY, "message.get, cancel, cancel_many")
@shells
def test_messages_are_looked_at_and_canceled(world: World, shell: str) -> None:
    sink, key = Sink(world), unique("flow")
    ids = [
        world.py(
            "message.publish",
            url=sink.url,
            body="ü",
            delay=60,
            label="later",
            flow_control={"key": key, "parallelism": 2, "rate": 3, "period": "1h30m3s"},
        )["message_id"]
        for _ in range(3)
    ]

    message = world.py("message.get", ids[0], shell=shell)
    assert (message["url"], message["body"], message["label"]) == (sink.url, "ü", "later")
    assert message["max_retries"] == 3
    flow = message["flow_control"]
    assert (flow["key"], flow["parallelism"], flow["rate"], flow["period"]) == (key, 2, 3, 5403)
    world.py("message.cancel", ids[0], shell=shell)
    assert world.py("message.cancel_many", ids, shell=shell) == 2
    with pytest.raises(SdkError):
        world.py("message.cancel", unique("msg"), shell=shell)


@feature(QSTASH_PY, "message.cancel_all")
def test_all_messages_of_an_account_are_canceled(world: World) -> None:
    sink = Sink(world)
    for _ in range(3):
        world.py("message.publish", tenant="queues", url=sink.url, delay=60)

    assert world.py("message.cancel_all", tenant="queues") == 3


@feature(QSTASH_PY, "queue: upsert, get, list, pause, resume, delete; message.enqueue_json")
@shells
def test_a_queue_delivers_in_order(world: World, shell: str) -> None:
    queue, sink = unique("queue"), Sink(world)
    world.py("queue.upsert", queue, shell=shell, parallelism=1, paused=True)
    for n in range(3):
        world.py("message.enqueue_json", shell=shell, queue=queue, url=sink.url, body={"n": n})

    shown = world.py("queue.get", queue, shell=shell)
    assert (shown["parallelism"], shown["paused"], shown["lag"]) == (1, True, 3)
    world.py("queue.resume", queue, shell=shell)
    assert [each.json for each in sink.received(3)] == [{"n": 0}, {"n": 1}, {"n": 2}]
    world.py("queue.pause", queue, shell=shell)
    assert world.py("queue.get", queue, shell=shell)["paused"] is True
    assert queue in [each["name"] for each in world.py("queue.list", shell=shell)]
    world.py("queue.delete", queue, shell=shell)
    assert queue not in [each["name"] for each in world.py("queue.list", shell=shell)]


@feature(QSTASH_PY, "url_group: upsert_endpoints, get, list, remove_endpoints, delete")
@shells
def test_a_url_group_is_kept(world: World, shell: str) -> None:
    group, one, two = unique("group"), Sink(world), Sink(world)
    endpoints = [{"url": one.url, "name": "one"}, {"url": two.url}]
    world.py("url_group.upsert_endpoints", group, endpoints, shell=shell)

    world.py("message.publish", shell=shell, url_group=group, body="all")

    assert [one.received()[0].text, two.received()[0].text] == ["all", "all"]
    shown = world.py("url_group.get", group, shell=shell)
    assert [each["url"] for each in shown["endpoints"]] == [one.url, two.url]
    world.py("url_group.remove_endpoints", group, [{"name": "one"}], shell=shell)
    assert len(world.py("url_group.get", group, shell=shell)["endpoints"]) == 1
    assert group in [each["name"] for each in world.py("url_group.list", shell=shell)]
    world.py("url_group.delete", group, shell=shell)
    world.py("url_group.delete", group, shell=shell)
    assert group not in [each["name"] for each in world.py("url_group.list", shell=shell)]


@feature(QSTASH_PY, "schedule: create_json, get, list, pause, resume, delete")
@shells
def test_a_schedule_is_kept(world: World, shell: str) -> None:
    sink = Sink(world)
    schedule_id = world.py(
        "schedule.create_json",
        shell=shell,
        destination=sink.url,
        cron="0 0 1 1 *",
        body={"ü": 1},
        headers={"X-Own": "yes"},
        retries=1,
        label="yearly",
    )

    shown = world.py("schedule.get", schedule_id, shell=shell)
    assert (shown["destination"], shown["cron"]) == (sink.url, "0 0 1 1 *")
    assert (shown["retries"], shown["label"], shown["method"]) == (1, "yearly", "POST")
    assert shown["headers"]["X-Own"] == ["yes"]
    world.py("schedule.pause", schedule_id, shell=shell)
    assert world.py("schedule.get", schedule_id, shell=shell)["paused"] is True
    world.py("schedule.resume", schedule_id, shell=shell)
    assert world.py("schedule.get", schedule_id, shell=shell)["paused"] is False
    listed = [each["schedule_id"] for each in world.py("schedule.list", shell=shell)]
    assert schedule_id in listed
    world.py("schedule.delete", schedule_id, shell=shell)
    listed = [each["schedule_id"] for each in world.py("schedule.list", shell=shell)]
    assert schedule_id not in listed


@feature(QSTASH_PY, "dlq: get, list, delete, delete_many")
@shells
def test_failed_messages_are_listed_and_deleted(world: World, shell: str) -> None:
    url = f"{world.third.url}/status/404"
    ids = [
        world.py("message.publish", shell=shell, url=url, body="ü", retries=0)["message_id"]
        for _ in range(3)
    ]
    dlq_ids = [dead_letter(world, message_id)["dlq_id"] for message_id in ids]

    dead = world.py("dlq.get", dlq_ids[0], shell=shell)
    assert (dead["message_id"], dead["url"], dead["body"]) == (ids[0], url, "ü")
    assert (dead["response_status"], dead["response_body"]) == (404, "404 Not Found")
    world.py("dlq.delete", dlq_ids[0], shell=shell)
    assert world.py("dlq.delete_many", dlq_ids, shell=shell) == 2
    with pytest.raises(SdkError):
        world.py("dlq.get", dlq_ids[0], shell=shell)


@feature(QSTASH_PY, "signing_key: get, rotate")
def test_signing_keys_are_rotated(world: World) -> None:
    before = world.py("signing_key.get", tenant="mail")
    after = world.py("signing_key.rotate", tenant="mail")

    assert after["current"] == before["next"]
    assert after["next"] not in before.values()
    assert world.py("signing_key.get", tenant="mail") == after


@feature(QSTASH_PY, "flow_control: get, pause, resume, pin, unpin, reset_rate, global parallelism")
@shells
def test_flow_control_is_looked_at_and_changed(world: World, shell: str) -> None:
    key, sink = unique("flow"), Sink(world)
    flow = {"key": key, "parallelism": 2, "rate": 9, "period": "1m"}
    world.py("message.publish", shell=shell, url=sink.url, flow_control=flow)
    sink.received()

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = world.py("flow_control.get", key, shell=shell)
        return found

    assert (shown()["parallelism_max"], shown()["rate_max"], shown()["rate_period"]) == (2, 9, 60)
    world.py("flow_control.pause", key, shell=shell)
    assert shown()["is_paused"] is True
    world.py("flow_control.resume", key, shell=shell)
    assert shown()["is_paused"] is False
    world.py("flow_control.pin", key, {"parallelism": 5, "rate": 6, "period": 7}, shell=shell)
    assert (shown()["parallelism_max"], shown()["is_pinned_rate"]) == (5, True)
    world.py("flow_control.unpin", key, {"parallelism": True, "rate": True}, shell=shell)
    assert shown()["is_pinned_parallelism"] is False
    world.py("flow_control.reset_rate", key, shell=shell)
    assert shown()["rate_count"] == 0
    assert "parallelism_max" in world.py("flow_control.get_global_parallelism", shell=shell)


@feature(QSTASH_PY, "refusals: wrong token, bad URL, too many retries")
def test_what_is_wrong_is_refused(world: World) -> None:
    for request in (
        {"url": "ftp://x/y"},
        {"url": world.third.url, "retries": 1_000_000},
        {"url": world.third.url, "delay": "never"},
    ):
        with pytest.raises(SdkError):
            world.py("message.publish", **request)
