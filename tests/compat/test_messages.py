"""Plain messages by @upstash/qstash and by qstash, its Python twin."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any

import pytest

from tests.compat.features import QSTASH_JS, QSTASH_PY, feature
from tests.compat.programs import SdkError
from tests.compat.third_party import Received
from tests.compat.world import World, eventually, unique


class Sink:
    """An address of the third party's of which nobody else knows."""

    def __init__(self, world: World, path: str = "/sink/{}") -> None:
        self._world = world
        self.path = path.format(unique("message"))
        self.url = f"{world.third.url}{self.path}"

    def received(self, count: int = 1) -> list[Received]:
        """All that came, once that many have."""
        found: list[Received] = eventually(
            lambda: self._world.third.received(self.path),
            lambda found: len(found) >= count,
            self.path,
        )
        return found

    def nothing_came(self) -> bool:
        return self._world.third.received(self.path) == []


def states(world: World, message_id: str, tenant: str = "default") -> list[str]:
    """Of a message, newest first."""
    events = world.qstash("logs", {"filter": {"messageId": message_id}}, tenant=tenant)["logs"]
    return [event["state"] for event in events]


def wait_for_state(world: World, message_id: str, state: str, tenant: str = "default") -> None:
    eventually(lambda: states(world, message_id, tenant), lambda found: state in found, message_id)


def dead_letter(world: World, message_id: str, tenant: str = "default") -> dict[str, Any]:
    """That of a message, once it is one."""

    def found() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = world.qstash(
            "dlq.listMessages", {"filter": {"messageId": message_id}}, tenant=tenant
        )["messages"]
        return listed

    (dead,) = eventually(found, bool, f"the death of {message_id}")
    return dead


@feature(QSTASH_JS, "publish, publishJSON: method, headers, body")
def test_a_message_arrives_as_it_was_published(world: World) -> None:
    sink = Sink(world)
    answer = world.qstash(
        "publishJSON",
        {
            "url": f"{sink.url}?a=1&ü=%20",
            "body": {"ü": "😀"},
            "headers": {"X-Own": "yes"},
            "method": "PUT",
        },
    )

    (message,) = sink.received()
    assert answer["messageId"].startswith("msg_")
    assert (message.method, message.json) == ("PUT", {"ü": "😀"})
    assert message.path.endswith("?a=1&%C3%BC=%20")
    assert message.headers["x-own"] == "yes"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["upstash-message-id"] == answer["messageId"]
    assert message.headers["upstash-retried"] == "0"
    wait_for_state(world, answer["messageId"], "DELIVERED")
    assert states(world, answer["messageId"]) == ["DELIVERED", "ACTIVE", "CREATED"]


@feature(QSTASH_JS, "Receiver.verify")
@feature(QSTASH_PY, "receiver.verify")
def test_receivers_verify_what_was_delivered(world: World) -> None:
    sink = Sink(world)
    world.qstash("publish", {"url": sink.url, "body": "ü😀"})
    (message,) = sink.received()
    said = {"signature": message.headers["upstash-signature"], "body": message.text}

    js, python = world.server.main, world.server.main
    given = (world.server.url, js, "receiver", "verify")
    assert world.js.call(*given, args=[{**said, "url": sink.url}]) is True
    world.python.call(*given, args=[], kwargs={**said, "url": sink.url})
    for driver, forged in (
        (world.js, {"args": [{**said, "body": "forged"}]}),
        (world.python, {"args": [], "kwargs": {**said, "body": "forged"}}),
    ):
        with pytest.raises(SdkError):
            driver.call(world.server.url, python, "receiver", "verify", **forged)


@feature(QSTASH_JS, "batch, batchJSON: URLs, queues, one bad item")
def test_a_batch_is_published_in_its_order(world: World) -> None:
    one, two = Sink(world), Sink(world)
    answers = world.qstash(
        "batchJSON",
        [
            {"url": one.url, "body": {"n": 1}},
            {"url": two.url, "body": {"n": 2}, "queueName": unique("queue"), "delay": 1},
        ],
    )

    assert one.received()[0].json == {"n": 1}
    assert two.received()[0].json == {"n": 2}
    ids = [answer["messageId"] for answer in answers]
    assert ids == [each.received()[0].headers["upstash-message-id"] for each in (one, two)]


@feature(QSTASH_JS, "publish: delay, notBefore")
def test_a_message_is_delivered_when_it_is_told_to(world: World) -> None:
    delayed, timed = Sink(world), Sink(world)
    began = time.time()
    world.qstash("publish", {"url": delayed.url, "delay": "1s"})
    world.qstash("publish", {"url": timed.url, "notBefore": int(began) + 2})

    assert delayed.received()[0].at - began >= 1
    assert timed.received()[0].at >= int(began) + 2


@feature(QSTASH_JS, "publish: retries, retryDelay; logs of each attempt")
def test_a_message_is_retried(world: World) -> None:
    sink = Sink(world, "/flaky/{}/2")
    answer = world.qstash(
        "publish", {"url": sink.url, "retries": 3, "retryDelay": "100 * (1 + retried)"}
    )

    wait_for_state(world, answer["messageId"], "DELIVERED")
    retried = [each.headers["upstash-retried"] for each in sink.received(3)]
    assert retried == ["0", "1", "2"]
    assert sorted(states(world, answer["messageId"])) == sorted(
        ["CREATED", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "DELIVERED"]
    )
    logs = world.qstash("logs", {"filter": {"messageId": answer["messageId"]}})["logs"]
    error = next(event for event in logs if event["state"] == "ERROR")
    assert error["responseStatus"] == 500
    assert error["retryDelayExpression"] == "100 * (1 + retried)"


@feature(QSTASH_JS, "publish: Retry-After of the destination")
def test_a_destination_says_when_to_try_again(world: World) -> None:
    sink = Sink(world, "/later/{}/1")
    world.qstash("publish", {"url": sink.url, "retries": 1})

    first, second = (each.at for each in sink.received(2))
    assert second - first >= 1


@feature(QSTASH_JS, "publish: timeout")
def test_a_destination_that_is_too_slow_has_failed(world: World) -> None:
    sink = Sink(world, "/status/200?sleep=3000&{}")
    answer = world.qstash("publish", {"url": sink.url, "timeout": 1, "retries": 0})

    dead = dead_letter(world, answer["messageId"])
    assert dead["url"] == sink.url


@feature(QSTASH_JS, "publish: callback, failureCallback")
def test_callbacks_tell_what_became_of_a_message(world: World) -> None:
    callback, failure = Sink(world), Sink(world)
    good = world.qstash(
        "publish",
        {"url": f"{world.third.url}/binary", "body": "ü", "callback": callback.url},
    )
    bad = world.qstash(
        "publish",
        {
            "url": f"{world.third.url}/status/503",
            "body": "ü",
            "failureCallback": failure.url,
            "retries": 1,
            "headers": {"Upstash-Failure-Callback-Forward-X-Own": "yes"},
        },
    )

    told = callback.received()[0].json
    assert told["status"] == 200
    assert base64.b64decode(told["body"]) == bytes(range(256))
    assert base64.b64decode(told["sourceBody"]).decode() == "ü"
    assert told["sourceMessageId"] == good["messageId"]
    (failed,) = failure.received()
    assert failed.headers["x-own"] == "yes"
    assert failed.json["sourceMessageId"] == bad["messageId"]
    assert (failed.json["status"], failed.json["retried"], failed.json["maxRetries"]) == (503, 1, 1)
    assert failed.json["dlqId"] == dead_letter(world, bad["messageId"])["dlqId"]


@feature(QSTASH_JS, "publish: deduplicationId, contentBasedDeduplication")
def test_a_message_is_delivered_once_per_key(world: World) -> None:
    sink, key = Sink(world), unique("key")
    first = world.qstash("publish", {"url": sink.url, "body": "1", "deduplicationId": key})
    again = world.qstash("publish", {"url": sink.url, "body": "2", "deduplicationId": key})
    alike = [
        world.qstash("publish", {"url": sink.url, "body": body, "contentBasedDeduplication": True})
        for body in ("same", "same", "other")
    ]

    assert again == {**first, "deduplicated": True}
    assert [each.get("deduplicated") for each in alike] == [None, True, None]
    assert sorted(each.text for each in sink.received(3)) == ["1", "other", "same"]


@feature(QSTASH_JS, "messages.get, messages.cancel")
def test_a_message_is_looked_at_and_canceled(world: World) -> None:
    sink = Sink(world)
    message_id = world.qstash(
        "publish",
        {
            "url": sink.url,
            "body": "ü",
            "delay": 60,
            "retries": 2,
            "label": ["one", "two"],
            "headers": {"X-Own": "yes"},
            "flowControl": {"key": (key := unique("flow")), "rate": 3, "period": "1d"},
        },
    )["messageId"]

    message = world.qstash("messages.get", message_id)

    assert {name: message[name] for name in ("messageId", "url", "body", "method")} == {
        "messageId": message_id,
        "url": sink.url,
        "body": "ü",
        "method": "POST",
    }
    assert (message["maxRetries"], message["label"], message["labels"]) == (
        2,
        "one",
        ["one", "two"],
    )
    assert message["header"]["X-Own"] == ["yes"]
    assert (message["flowControlKey"], message["rate"], message["period"]) == (key, 3, 86400)
    assert message["notBefore"] > message["createdAt"] + 50_000
    assert world.qstash("messages.cancel", message_id) == {"cancelled": 1}
    wait_for_state(world, message_id, "CANCELED")
    with pytest.raises(SdkError) as refused:
        world.qstash("messages.get", unique("msg"))
    assert refused.value.status == 404
    assert sink.nothing_came()


@feature(QSTASH_JS, "messages.cancel: many, by filter, everything")
def test_messages_are_canceled_by_what_they_are(world: World) -> None:
    label, sink = unique("label"), Sink(world)

    def publish(**options: Any) -> str:
        request = {"url": sink.url, "delay": 60, **options}
        return str(world.qstash("publish", request, tenant="mail")["messageId"])

    def cancel(request: Any) -> int:
        return int(world.qstash("messages.cancel", request, tenant="mail")["cancelled"])

    one, two, *_ = [publish(), publish(), publish(label=label), publish(label=label), publish()]
    assert cancel([one, two]) == 2
    assert cancel([one, two]) == 0
    assert cancel({"filter": {"label": label}}) == 2
    publish()
    assert cancel({"all": True}) == 2


@feature(QSTASH_JS, "queue: enqueue, order, parallelism, pause, resume, list, delete")
def test_a_queue_delivers_in_order(world: World) -> None:
    queue, sink = unique("queue"), Sink(world)
    world.qstash("upsert", {"parallelism": 1, "paused": True}, queue=queue)
    for n in range(4):
        world.qstash("enqueueJSON", {"url": sink.url, "body": n}, queue=queue)

    shown = world.qstash("get", queue=queue)
    assert (shown["name"], shown["parallelism"], shown["paused"], shown["lag"]) == (
        queue,
        1,
        True,
        4,
    )
    assert queue in [each["name"] for each in world.qstash("list", queue=queue)]
    assert sink.nothing_came()

    world.qstash("resume", queue=queue)

    assert [each.json for each in sink.received(4)] == [0, 1, 2, 3]
    assert sink.received()[0].headers["upstash-queue-name"] == queue
    eventually(lambda: world.qstash("get", queue=queue)["lag"], lambda lag: lag == 0)
    world.qstash("pause", queue=queue)
    assert world.qstash("get", queue=queue)["paused"] is True
    world.qstash("delete", queue=queue)
    with pytest.raises(SdkError):
        world.qstash("get", queue=queue)


@feature(QSTASH_JS, "queue: parallelism limits what is in flight")
def test_a_queue_delivers_no_more_at_once_than_it_may(world: World) -> None:
    queue, path = unique("queue"), "/status/200"
    url = f"{world.third.url}{path}?sleep=400&of={queue}"
    world.qstash("upsert", {"parallelism": 2}, queue=queue)
    for _ in range(4):
        world.qstash("enqueue", {"url": url}, queue=queue)

    def mine() -> list[float]:
        return [each.at for each in world.third.received(path) if queue in each.path]

    times = eventually(mine, lambda found: len(found) == 4)
    assert times[2] - times[0] >= 0.4
    assert times[3] - times[1] >= 0.4


@feature(QSTASH_JS, "urlGroups: endpoints, publish to all, removal")
def test_a_message_to_a_url_group_goes_to_all_its_endpoints(world: World) -> None:
    name, one, two = unique("group"), Sink(world), Sink(world)
    world.qstash(
        "urlGroups.addEndpoints",
        {"name": name, "endpoints": [{"url": one.url, "name": "one"}, {"url": two.url}]},
    )

    answers = world.qstash("publishJSON", {"urlGroup": name, "body": {"ü": 1}})

    assert [answer["url"] for answer in answers] == [one.url, two.url]
    assert one.received()[0].json == two.received()[0].json == {"ü": 1}
    assert one.received()[0].headers["upstash-topic-name"] == name
    group = world.qstash("urlGroups.get", name)
    assert [each["url"] for each in group["endpoints"]] == [one.url, two.url]
    assert name in [each["name"] for each in world.qstash("urlGroups.list")]
    world.qstash("urlGroups.removeEndpoints", {"name": name, "endpoints": [{"name": "one"}]})
    left = world.qstash("urlGroups.get", name)
    assert [each["url"] for each in left["endpoints"]] == [two.url]
    world.qstash("urlGroups.delete", name)
    with pytest.raises(SdkError):
        world.qstash("publish", {"urlGroup": name})


@feature(QSTASH_JS, "schedules: create, get, list, overwrite, pause, resume, delete")
def test_a_schedule_is_kept(world: World) -> None:
    sink, given = Sink(world), unique("schedule")
    wanted = {
        "destination": sink.url,
        "cron": "CRON_TZ=Europe/Berlin 5 4 1 1 *",
        "body": '{"ü":1}',
        "headers": {"X-Own": "yes"},
        "scheduleId": given,
        "retries": 2,
        "delay": "10s",
        "label": "yearly",
    }
    assert world.qstash("schedules.create", wanted) == {"scheduleId": given}
    anonymous = world.qstash("schedules.create", {"destination": sink.url, "cron": "0 0 1 1 *"})

    schedule = world.qstash("schedules.get", given)
    assert anonymous["scheduleId"].startswith("scd_")
    assert schedule["destination"] == sink.url
    assert (schedule["cron"], schedule["body"]) == (wanted["cron"], '{"ü":1}')
    assert (schedule["retries"], schedule["delay"], schedule["label"]) == (2, 10, "yearly")
    assert schedule["header"]["X-Own"] == ["yes"]
    assert schedule["isPaused"] is False
    assert schedule["nextScheduleTime"] > time.time() * 1000
    world.qstash("schedules.create", {**wanted, "cron": "0 0 2 1 *"})
    assert world.qstash("schedules.get", given)["cron"] == "0 0 2 1 *"
    world.qstash("schedules.pause", {"schedule": given})
    assert world.qstash("schedules.get", given)["isPaused"] is True
    world.qstash("schedules.resume", {"schedule": given})
    assert world.qstash("schedules.get", given)["isPaused"] is False
    listed = [each["scheduleId"] for each in world.qstash("schedules.list")]
    assert {given, anonymous["scheduleId"]} <= set(listed)
    for schedule_id in (given, anonymous["scheduleId"]):
        world.qstash("schedules.delete", schedule_id)
    assert given not in [each["scheduleId"] for each in world.qstash("schedules.list")]
    with pytest.raises(SdkError) as refused:
        world.qstash("schedules.create", {**wanted, "cron": "every day"})
    assert refused.value.status == 400


@feature(QSTASH_JS, "dlq: list, filter, delete")
def test_failed_messages_are_listed_and_deleted(world: World) -> None:
    label = unique("dead")
    url = f"{world.third.url}/status/404"
    ids = [
        world.qstash("publish", {"url": url, "body": "ü", "retries": 0, "label": label})[
            "messageId"
        ]
        for _ in range(3)
    ]
    dead = [dead_letter(world, message_id) for message_id in ids]

    assert {each["responseStatus"] for each in dead} == {404}
    assert {each["responseBody"] for each in dead} == {"404 Not Found"}
    assert {each["body"] for each in dead} == {"ü"}
    found = world.qstash("dlq.listMessages", {"filter": {"label": label, "responseStatus": 404}})
    assert {each["messageId"] for each in found["messages"]} == set(ids)
    one = world.qstash("dlq.listMessages", {"dlqIds": [dead[0]["dlqId"]]})["messages"]
    assert [each["messageId"] for each in one] == [ids[0]]
    world.qstash("dlq.delete", dead[0]["dlqId"])
    assert world.qstash("dlq.delete", {"filter": {"label": label}})["deleted"] == 2
    assert world.qstash("dlq.listMessages", {"filter": {"label": label}})["messages"] == []


@feature(QSTASH_JS, "dlq.retry: one, by filter; unknown filters are refused")
def test_failed_messages_are_published_again(world: World) -> None:
    label = unique("retried")
    sinks = [Sink(world, "/flaky/{}/1") for _ in range(3)]
    ids = [
        world.qstash("publish", {"url": sink.url, "retries": 0, "label": label})["messageId"]
        for sink in sinks
    ]
    dead = [dead_letter(world, message_id) for message_id in ids]

    world.qstash("dlq.retry", dead[0]["dlqId"])
    assert len(sinks[0].received(2)) == 2
    again = world.qstash("dlq.retry", {"filter": {"label": label}})

    assert len(again["responses"]) == 2
    for sink in sinks[1:]:
        assert len(sink.received(2)) == 2
    assert world.qstash("dlq.listMessages", {"filter": {"label": label}})["messages"] == []
    with pytest.raises(SdkError):
        world.qstash("dlq.delete", {"filter": {"labeel": label}})


@feature(QSTASH_JS, "publish: a destination that says never again")
def test_a_destination_can_refuse_for_good(world: World) -> None:
    sink = Sink(world, "/never/{}")
    answer = world.qstash("publish", {"url": sink.url, "retries": 5})

    dead_letter(world, answer["messageId"])
    assert len(sink.received()) == 1


@feature(QSTASH_JS, "logs: filters, pages")
def test_events_are_found_by_what_they_are(world: World) -> None:
    label = unique("logged")
    sink = Sink(world)
    message_id = world.qstash("publish", {"url": sink.url, "label": label})["messageId"]
    wait_for_state(world, message_id, "DELIVERED")

    def found(**criterion: Any) -> list[str]:
        logs = world.qstash("logs", {"filter": {"label": label, **criterion}})["logs"]
        return [event["state"] for event in logs]

    assert found() == ["DELIVERED", "ACTIVE", "CREATED"]
    assert found(state="DELIVERED") == ["DELIVERED"]
    assert found(url=sink.url) == found()
    assert found(host=sink.url.split("/")[2]) == found()
    assert found(path=sink.path) == found()
    assert found(path="/another") == []
    page = world.qstash("logs", {"filter": {"label": label}, "count": 2})
    assert len(page["logs"]) == 2
    rest = world.qstash("logs", {"filter": {"label": label}, "cursor": page["cursor"]})
    assert [event["state"] for event in rest["logs"]] == ["CREATED"]
    assert rest.get("cursor") is None


@feature(QSTASH_JS, "publish: redact")
def test_what_is_redacted_is_in_no_log(world: World) -> None:
    sink, secret = Sink(world), unique("secret")
    message_id = world.qstash(
        "publish",
        {
            "url": sink.url,
            "body": secret,
            "headers": {"Authorization": secret},
            "redact": {"body": True, "header": ["Authorization"]},
        },
    )["messageId"]

    (message,) = sink.received()
    assert (message.text, message.headers["authorization"]) == (secret, secret)
    logs = world.qstash("logs", {"filter": {"messageId": message_id}})["logs"]
    assert secret not in json.dumps(logs)
    assert base64.b64encode(secret.encode()).decode() not in json.dumps(logs)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert f"REDACTED:{digest}" in json.dumps(logs)


@feature(QSTASH_JS, "flowControl: parallelism, get, pause, resume, pin, unpin, resetRate")
def test_flow_control_is_looked_at_and_changed(world: World) -> None:
    key, sink = unique("flow"), Sink(world)

    def publish() -> None:
        flow = {"key": key, "parallelism": 3, "rate": 50, "period": "1m"}
        world.qstash("publish", {"url": sink.url, "flowControl": flow})

    publish()
    sink.received()
    shown = world.qstash("flowControl.get", key)
    assert (shown["flowControlKey"], shown["parallelismMax"], shown["rateMax"]) == (key, 3, 50)
    assert (shown["ratePeriod"], shown["rateCount"], shown["isPaused"]) == (60, 1, False)
    world.qstash("flowControl.pause", key)
    publish()
    waiting = eventually(
        lambda: world.qstash("flowControl.get", key), lambda flow: flow["waitListSize"] == 1
    )
    assert waiting["isPaused"] is True
    assert len(world.third.received(sink.path)) == 1
    world.qstash("flowControl.resume", key)
    sink.received(2)
    world.qstash("flowControl.pin", key, {"parallelism": 1, "rate": 7, "period": 30})
    publish()
    sink.received(3)
    pinned = world.qstash("flowControl.get", key)
    assert (pinned["parallelismMax"], pinned["rateMax"], pinned["ratePeriod"]) == (1, 7, 30)
    assert (pinned["isPinnedParallelism"], pinned["isPinnedRate"]) == (True, True)
    world.qstash("flowControl.resetRate", key)
    assert world.qstash("flowControl.get", key)["rateCount"] == 0
    world.qstash("flowControl.unpin", key, {"parallelism": True, "rate": True})
    publish()
    sink.received(4)
    free = world.qstash("flowControl.get", key)
    assert (free["parallelismMax"], free["isPinnedParallelism"], free["isPinnedRate"]) == (
        3,
        False,
        False,
    )
    whole = world.qstash("flowControl.getGlobalParallelism")
    assert set(whole) >= {"parallelismMax", "parallelismCount"}


@feature(QSTASH_JS, "refusals: bad URL, unknown group, too many retries")
@pytest.mark.parametrize(
    "request_", [{"url": "ftp://x/y"}, {"urlGroup": "nobody-knows"}, {"retries": 1_000_000}]
)
def test_a_bad_message_is_refused(world: World, request_: dict[str, Any]) -> None:
    usual = {} if "urlGroup" in request_ else {"url": world.third.url}
    with pytest.raises(SdkError) as refused:
        world.qstash("publish", {**usual, **request_})

    assert refused.value.status in (400, 404, 412)
