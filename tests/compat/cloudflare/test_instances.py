"""instances.create, get, list, bulk and step."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.compat.cloudflare.clients import Client
from tests.compat.cloudflare.instances import (
    command,
    decoded,
    detail,
    end_of,
    names,
    result,
    send,
    start,
    steps_of,
    until,
    until_at,
)
from tests.compat.features import by_each_client
from tests.compat.programs import SdkError
from tests.compat.world import World, eventually, unique

JSON_VALUES = [{"ü": ["😀", None, 1.5]}, [], "text", 7, 0.5, True]


@by_each_client("instances.create")
def test_an_instance_is_created(world: World, sdk: str) -> None:
    client, name = world.cloudflare(sdk), unique("mine")

    created = client.call("instances.create", "patient", instance_id=name, params='"sleep"')
    other = client.call("instances.create", "patient", location_hint="weur")

    shown = client.call("get", "patient")
    assert created == {
        "id": name,
        "status": "queued",
        "version_id": created["version_id"],
        "workflow_id": shown["id"],
        "trigger_source": "api",
    }
    versions = client.call("versions.list", "patient")["result"]
    assert created["version_id"] == versions[0]["id"]
    assert other["id"] not in ("", name)


@by_each_client("instances.create: payloads of every JSON kind, and none")
def test_a_workflow_is_given_what_its_instance_was_created_with(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)

    given = [result(client, "plain", value) for value in JSON_VALUES]
    nothing = result(client, "plain")

    assert given == JSON_VALUES
    assert nothing == {}


@by_each_client("instances.get: a complete instance, field by field")
def test_a_complete_instance_is_shown_with_its_steps(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "purchase", {"quantity": 2})
    until_at(client, "purchase", instance, "payment-1")
    send(client, "purchase", instance, "paid", {"name": "Ada"})

    shown = end_of(client, "purchase", instance)

    assert names(shown) == ["price-1", "grace-1", "payment-1", "ship-1"]
    price, grace, payment, ship = shown["steps"]
    assert decoded(shown["output"]) == {"amount": 6, "shipped": "shipped to Ada", "event": "paid"}
    assert shown["params"] == {"quantity": 2}
    assert shown["trigger"] == {"source": "api"}
    assert (shown["status"], shown["success"], shown["error"]) == ("complete", True, None)
    assert (shown["step_count"], shown["rollback"]) == (4, None)
    assert shown["queued"] <= shown["start"] <= shown["end"]
    assert price["config"] == {
        "retries": {"limit": 3, "delay": 50, "backoff": "constant"},
        "timeout": 5000,
    }
    assert ship["config"] == {
        "retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"},
        "timeout": 600_000,
    }
    assert decoded(price["output"]) == {"amount": 6}
    (attempt,) = price["attempts"]
    assert (attempt["success"], attempt["error"]) == (True, None)
    assert (price["type"], price["success"]) == ("step", True)
    assert (grace["type"], grace["finished"], grace["error"]) == ("sleep", True, None)
    assert (payment["type"], payment["finished"]) == ("waitForEvent", True)
    assert payment["event_type"] == "paid"
    assert decoded(payment["output"])["payload"] == {"name": "Ada"}
    assert ship["output"] == "shipped to Ada"


@by_each_client("instances.get: order, simple")
def test_steps_are_shown_newest_first_or_not_at_all(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "counted")
    until_at(client, "counted", instance, "news-1")

    newest_first = detail(client, "counted", instance, order="desc")
    simple = detail(client, "counted", instance, simple="true")

    assert names(newest_first) == ["news-1", "tick-2", "pause-1", "tick-1"]
    assert (simple["steps"], simple["step_count"]) == ([], 4)


@by_each_client("instances.get: planned ends of what is open")
@pytest.mark.parametrize(("payload", "kind"), [("sleep", "sleep"), ("wait", "waitForEvent")])
def test_what_an_instance_waits_for_has_a_planned_end(
    world: World, sdk: str, payload: str, kind: str
) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "patient", payload)

    shown = until(client, "patient", instance, "waiting")

    (step,) = shown["steps"]
    assert (step["type"], step["finished"], step["error"]) == (kind, False, None)
    assert moment(step["end"]) - moment(step["start"]) == pytest.approx(
        timedelta(days=1), abs=timedelta(seconds=5)
    )
    assert (shown["output"], shown["end"], shown["success"]) == ("", None, None)


@by_each_client("instances.get: attempts with their errors")
def test_a_step_that_failed_is_shown_with_its_attempts(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "flaky", {"failures": 2})

    shown = end_of(client, "flaky", instance)

    assert shown["output"] == 3
    (step,) = shown["steps"]
    assert [attempt["success"] for attempt in step["attempts"]] == [False, False, True]
    assert [attempt["error"] for attempt in step["attempts"]] == [
        {"name": "ConnectionError", "message": "attempt 1 failed"},
        {"name": "ConnectionError", "message": "attempt 2 failed"},
        None,
    ]
    assert all(attempt["start"] <= attempt["end"] for attempt in step["attempts"])


@by_each_client("instances.get: a step that waits for its next attempt")
def test_a_step_that_will_be_tried_again_has_not_ended(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "patient", "retry")

    shown = until(client, "patient", instance, "waiting")

    (step,) = shown["steps"]
    assert (step["success"], step["end"]) == (None, None)
    assert [attempt["success"] for attempt in step["attempts"]] == [False]
    assert step["config"]["retries"] == {"limit": 1, "delay": 3_600_000, "backoff": "constant"}


@by_each_client("instances.get: errors")
@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ("in the function", {"name": "LookupError", "message": "nothing there"}),
        ("in a step", {"name": "ValueError", "message": "in a step"}),
        ("for good", {"name": "NonRetryableError", "message": "no use"}),
    ],
)
def test_a_failed_instance_says_why(
    world: World, sdk: str, payload: str, error: dict[str, str]
) -> None:
    client = world.cloudflare(sdk)

    shown = end_of(client, "broken", start(client, "broken", payload))

    assert (shown["status"], shown["success"], shown["error"]) == ("errored", False, error)
    assert [len(step["attempts"]) for step in steps_of(shown, "step")] in ([], [1])


@by_each_client("instances.get: a function with @workflow")
def test_a_run_of_a_function_looks_like_any_other(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "function", {"n": 1})
    until_at(client, "function", instance, "answer-1")
    send(client, "function", instance, "answered", [1, 2])

    shown = end_of(client, "function", instance)

    assert [step["type"] for step in shown["steps"]] == ["step", "sleep", "waitForEvent"]
    assert names(shown) == ["same-1", "nap-1", "answer-1"]
    assert decoded(shown["output"]) == [1, 2]


@by_each_client("instances.get: an instance that Upstash's API started")
def test_both_dialects_show_the_same_run(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk, tenant="default")
    answer = world.http("POST", f"/v2/trigger/{world.server.url}/serve/plain", json={"n": 1})

    run_id = answer.json()["workflowRunId"]
    shown = end_of(client, "plain", run_id)

    assert shown["params"] == {"n": 1}
    assert names(shown) == ["same-1", "same-2"]
    assert (log := world.log(run_id)) is not None
    assert log.result == {"n": 1}


@by_each_client("instances.list: 250 instances page by page, and by cursor")
def test_a_client_iterates_over_all_pages(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    wanted = [unique("paged") for _ in range(250)]
    for first in range(0, 250, 100):
        body = [{"instance_id": each} for each in wanted[first : first + 100]]
        client.call("instances.bulk", "paged", body=body)

    by_page = [each["id"] for each in client.every("instances.list", "paged")]
    first = client.call("instances.list", "paged", per_page=60)
    cursor = first["result_info"]["cursor"]
    after = client.every("instances.list", "paged", per_page=60, cursor=cursor)
    by_cursor = [each["id"] for each in (*first["result"], *after)]
    oldest_first = ids_by_cursor(client, "paged", direction="asc", per_page=100)

    assert sorted(by_page) == sorted(by_cursor) == sorted(wanted)
    assert by_cursor == by_page == oldest_first[::-1]
    assert first["result_info"]["per_page"] == first["result_info"]["count"] == 60
    assert client.call("instances.list", "paged", page=100)["result"] == []


def ids_by_cursor(client: Client, workflow: str, **params: Any) -> list[str]:
    """From cursor to cursor, as far as they lead."""
    page = client.call("instances.list", workflow, **params)
    found = [each["id"] for each in page["result"]]
    while cursor := page["result_info"].get("cursor"):
        page = client.call("instances.list", workflow, cursor=cursor, **params)
        found += [each["id"] for each in page["result"]]
    return found


@by_each_client("instances.list: status, date_start, date_end")
def test_instances_are_filtered(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    began = datetime.now(UTC)
    waiting = start(client, "patient", "wait")
    until(client, "patient", waiting, "waiting")
    ended = start(client, "patient", "neither")
    end_of(client, "patient", ended)
    paused = start(client, "patient", "sleep")
    until(client, "patient", paused, "waiting")
    command(client, "patient", paused, "pause")

    def ids(**params: Any) -> set[str]:
        found = client.every("instances.list", "patient", **params)
        return {each["id"] for each in found}

    here = {waiting, ended, paused}
    by_status = {one: ids(status=one) & here for one in ("waiting", "complete", "paused")}
    assert by_status == {"waiting": {waiting}, "complete": {ended}, "paused": {paused}}
    assert ids(status="rollingBack") == set()
    assert ids(date_start=written(began)) >= here
    assert not ids(date_end=written(began)) & here
    (item,) = [each for each in client.every("instances.list", "patient") if each["id"] == ended]
    assert set(item) == {
        *("id", "workflow_id", "version_id", "status", "trigger_source"),
        *("created_on", "modified_on", "started_on", "ended_on"),
    }


@by_each_client("instances.bulk: duplicates are left out")
def test_a_batch_creates_what_is_new(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    there, fresh, twice = unique("there"), unique("fresh"), unique("twice")
    start(client, "batched", instance_id=there)

    body = [{"instance_id": each} for each in (there, fresh, twice, twice)]
    created = client.call("instances.bulk", "batched", body=[*body, {"params": "[1]"}])

    ids = [each["id"] for each in created["result"]]
    assert ids[:2] == [fresh, twice]
    assert len(ids) == 3
    assert {each["status"] for each in created["result"]} == {"queued"}


@by_each_client("instances.bulk: refusals")
@pytest.mark.parametrize(
    "body",
    [
        [],
        [{"instance_id": "good"}, {"instance_id": "not good"}],
        [{"params": "{"}],
        [{}] * 101,
    ],
    ids=["none", "a bad id", "bad params", "too many"],
)
def test_a_wrong_batch_creates_nothing(world: World, sdk: str, body: list[Any]) -> None:
    client = world.cloudflare(sdk)

    with pytest.raises(SdkError) as refused:
        client.call("instances.bulk", "listed", body=body)

    assert (refused.value.name, refused.value.codes) == ("BadRequestError", [10002])
    with pytest.raises(SdkError) as unknown:
        detail(client, "listed", "good")
    assert unknown.value.codes == [10400]


@by_each_client("instances.step: bytes")
def test_bytes_that_a_step_returned_are_read_as_they_are(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    instance = start(client, "picture")

    shown = end_of(client, "picture", instance)

    assert (shown["output"], shown["steps"][0]["output"]) == (5000, "[5000 bytes]")
    named = {"workflow_name": "picture", "name": "draw-1", "type": "step"}
    assert client.content("instances.step", instance, **named) == b"\x89PNG\x00" * 1000


@by_each_client("instances.step: whole outputs, attempts, events, secrets")
def test_the_output_of_a_step_is_whole(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    talkative = start(client, "talkative")
    flaky = start(client, "flaky", {"failures": 1})
    secret = start(client, "secret")
    waiting = start(client, "patient", "wait")

    def step(workflow: str, instance: str, name: str, **params: Any) -> Any:
        params = {"type": "step", **params}
        return client.call("instances.step", instance, workflow_name=workflow, name=name, **params)

    shown = end_of(client, "talkative", talkative)
    assert shown["steps"][0]["output"] == ("la" * 2000)[:1024] + "[truncated output]"
    assert step("talkative", talkative, "talk-1")["output"] == "la" * 2000

    end_of(client, "flaky", flaky)
    failed = step("flaky", flaky, "flaky-1", attempt=1)
    assert failed["error"] == {"name": "ConnectionError", "message": "attempt 1 failed"}
    assert step("flaky", flaky, "flaky-1") == {"status": "complete", "error": None, "output": 2}

    shown = end_of(client, "secret", secret)
    assert (shown["output"], shown["steps"][0]["output"]) == (10, "[REDACTED]")
    assert shown["steps"][0]["config"]["sensitive"] == "output"
    assert step("secret", secret, "read-1")["output"] == "[REDACTED]"

    until(client, "patient", waiting, "waiting")
    open_wait = step("patient", waiting, "news-1", type="waitForEvent")
    assert (open_wait["status"], open_wait["event_type"]) == ("waiting", "news")
    send(client, "patient", waiting, "news", {"good": True})
    end_of(client, "patient", waiting)
    got = step("patient", waiting, "news-1", type="waitForEvent")
    assert (got["status"], got["output"]["payload"]) == ("complete", {"good": True})

    with pytest.raises(SdkError) as unknown:
        step("flaky", flaky, "flaky-2")
    assert unknown.value.status == 404


@by_each_client("instances.create: instance_retention")
def test_an_instance_is_gone_after_its_retention(world: World, sdk: str) -> None:
    client, name = world.cloudflare(sdk), unique("short")
    retention = {"success_retention": 1, "error_retention": "1 second"}
    start(client, "plain", 1, instance_id=name, instance_retention=retention)

    def is_gone() -> bool:
        try:
            detail(client, "plain", name)
        except SdkError as error:
            return error.codes == [10400]
        return False

    # Workers look for what to prune once a minute.
    eventually(is_gone, bool, "the instance is pruned", patience=120)
    assert start(client, "plain", 2, instance_id=name) == name


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@by_each_client("instances of a schedule, with blanks, stars and slashes in their ids")
def test_a_schedule_starts_instances(world: World, sdk: str) -> None:
    client = world.cloudflare(sdk)
    schedules = [{"cron": "*/1 * * * *"}]
    shown = client.call("get", "ticking")
    code = {key: shown[key] for key in ("class_name", "script_name")}
    client.call("update", "ticking", **code, schedules=schedules)

    found = eventually(
        lambda: client.call("instances.list", "ticking", status="complete")["result"],
        bool,
        "its minute comes",
        patience=90,
    )

    cron, _, slot = found[0]["id"].rpartition("-")
    assert (cron, found[0]["trigger_source"]) == ("*/1 * * * *", "cron")
    shown = detail(client, "ticking", found[0]["id"])
    assert shown["schedule"] == {"cron": "*/1 * * * *", "scheduledTime": int(slot)}
    assert shown["trigger"] == {"source": "cron"}
    step = client.call(
        *("instances.step", found[0]["id"]), workflow_name="ticking", name="tick-1", type="step"
    )
    assert step["status"] == "complete"
    assert command(client, "ticking", found[0]["id"], "restart") == "queued"
    json.dumps(client.call("update", "ticking", **code))
